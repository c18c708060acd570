/** The page around a view: nothing runs in it but our one script, and nothing is reached from it. */

export interface PageParts {
  script: string;
  styles: string;
  /** The webview's own source of files, as its policy names it. */
  source: string;
  /** Fresh for every page. */
  nonce: string;
  /** Address of the server, for messages. */
  server: string;
  title: string;
}

export function page({ script, styles, source, nonce, server, title }: PageParts): string {
  const policy = [
    "default-src 'none'",
    `script-src 'nonce-${nonce}'`,
    `style-src ${source} 'nonce-${nonce}'`,
    `img-src ${source} data:`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  return `<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta http-equiv="Content-Security-Policy" content="${escaped(policy)}">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <link rel="stylesheet" href="${escaped(styles)}">
    <title>${escaped(title)}</title>
  </head>
  <body>
    <div id="codechef" data-server="${escaped(server)}"></div>
    <script type="module" nonce="${escaped(nonce)}" src="${escaped(script)}"></script>
  </body>
</html>
`;
}

function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll('"', "&quot;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;");
}
