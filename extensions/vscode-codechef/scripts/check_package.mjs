/** Fails when the package holds what it should not, lacks what it should hold, or is too large. */
import { readFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { inflateRawSync } from "node:zlib";

const LARGEST = 1_000_000;
const EXPECTED = [
  "[Content_Types].xml",
  "extension.vsixmanifest",
  "extension/LICENSE.txt",
  "extension/changelog.md",
  "extension/dist/extension.js",
  "extension/dist/views/views.css",
  "extension/dist/views/views.js",
  "extension/media/chef.svg",
  "extension/media/codechef.svg",
  "extension/media/icon.png",
  ...["chat", "comparison", "rollout", "training"].map(
    (name) => `extension/media/pictures/${name}.png`,
  ),
  "extension/package.json",
  "extension/readme.md",
];

const { name, version } = JSON.parse(readFileSync("package.json", "utf8"));
const file = `dist/${name}-${version}.vsix`;

/** Yields the files of an archive by its central directory (APPNOTE 4.3.12). */
function* entriesOf(archive) {
  let at = archive.readUInt32LE(archive.lastIndexOf("PK\x05\x06") + 16);
  while (archive.readUInt32LE(at) === 0x02014b50) {
    const [named, extra, comment] = [28, 30, 32].map((offset) => archive.readUInt16LE(at + offset));
    const local = archive.readUInt32LE(at + 42);
    const begin = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
    const packed = archive.subarray(begin, begin + archive.readUInt32LE(at + 20));
    yield {
      name: archive.toString("utf8", at + 46, at + 46 + named),
      read: () => (archive.readUInt16LE(at + 10) === 0 ? packed : inflateRawSync(packed)),
    };
    at += 46 + named + extra + comment;
  }
}

const problems = [];
const entries = [...entriesOf(readFileSync(file))].map((one) => ({
  name: one.name,
  text: one.read(),
}));
const names = entries.map((one) => one.name);
for (const one of names) if (!EXPECTED.includes(one)) problems.push(`it should not hold ${one}`);
for (const one of EXPECTED) if (!names.includes(one)) problems.push(`it lacks ${one}`);
const manifest = entries.find((one) => one.name === "extension/package.json");
if (manifest && "enabledApiProposals" in JSON.parse(manifest.text)) {
  problems.push("it asks for proposed API");
}
const { size } = await stat(file);
if (size > LARGEST) problems.push(`it has ${size} bytes, more than ${LARGEST}`);
if (problems.length > 0) {
  console.error(problems.map((problem) => `${file}: ${problem}`).join("\n"));
  process.exit(1);
}
console.log(`${file}: ${Math.ceil(size / 1024)} kB, ${names.length} files`);
