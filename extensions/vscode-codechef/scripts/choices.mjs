/** The values that fields of the use cases' requests may have, made from the API's OpenAPI document. */

const HEAD = `/** Made from the API's OpenAPI document: the values that fields of requests may have. */

`;

/** Returns the module: by use case and field, each value with what the server says of it. */
export function choicesOf(document) {
  const choices = {};
  for (const [path, { post }] of Object.entries(document.paths)) {
    if (!path.startsWith("/modelops/")) continue;
    const { $ref } = post.requestBody.content["application/json"].schema;
    const { properties } = document.components.schemas[$ref.split("/").at(-1)];
    const found = Object.entries(properties).map(([name, one]) => [name, valuesOf(one)]);
    const listed = found.filter(([, values]) => values.length > 0);
    if (listed.length > 0) choices[path.slice("/modelops/".length)] = Object.fromEntries(listed);
  }
  return `${HEAD}export const CHOICES = ${JSON.stringify(choices)} as const;`;
}

function valuesOf({ anyOf, const: value, description, enum: values }) {
  if (values) return values.map((one) => ({ value: one, description: "" }));
  if (value !== undefined) return [{ value, description: description ?? "" }];
  return anyOf?.flatMap(valuesOf) ?? [];
}
