/** The language-model tools of package.json, made from the API's OpenAPI document. */

const PREFIX = "codechef_";
const CARRY_OUT = "/approvals/{approval_id}/resume";

/**
 * Returns a tool for each use case, and one that carries out what a person has approved.
 *
 * A use case that may have to wait for an approval changes something: it is tagged `changes`.
 */
export function toolsOf(document) {
  const useCases = Object.entries(document.paths).filter(([path]) => path.startsWith("/modelops/"));
  return [
    ...useCases.map(([path, { post }]) => {
      const body = post.requestBody.content["application/json"].schema;
      const inputSchema = schemaOf(body, document);
      const { description } = inputSchema;
      delete inputSchema.description;
      const changes = "202" in post.responses;
      return tool(path.slice("/modelops/".length), description, changes, inputSchema);
    }),
    tool("carry_out_approved", document.paths[CARRY_OUT].post.summary ?? "", true, {
      type: "object",
      properties: { approval_id: { type: "string" } },
      required: ["approval_id"],
      additionalProperties: false,
    }),
  ];
}

function tool(name, description, changes, inputSchema) {
  const words = name.replaceAll("_", " ");
  const said = description.split(/\s+/).join(" ").trim();
  return {
    name: PREFIX + name,
    toolReferenceName: name,
    displayName: words[0].toUpperCase() + words.slice(1),
    userDescription: said,
    modelDescription: changes ? `${said} The user is asked first.` : said,
    canBeReferencedInPrompt: true,
    icon: "$(beaker)",
    tags: ["codechef", changes ? "changes" : "reads"],
    inputSchema,
  };
}

/** Returns a schema without references, without what says nothing: titles, and null beside a type. */
function schemaOf(schema, document) {
  if (Array.isArray(schema)) return schema.map((one) => schemaOf(one, document));
  if (typeof schema !== "object" || schema === null) return schema;
  const { $ref, anyOf, properties, ...rest } = schema;
  const found = Object.fromEntries(
    Object.entries(rest)
      .filter(([name, value]) => name !== "title" && (name !== "default" || value !== null))
      .map(([name, value]) => [name, name === "default" ? value : schemaOf(value, document)]),
  );
  const kinds = anyOf?.filter(({ type }) => type !== "null").map((one) => schemaOf(one, document));
  return {
    ...($ref === undefined ? {} : schemaOf(referred($ref, document), document)),
    ...(kinds === undefined ? {} : kinds.length === 1 ? kinds[0] : { anyOf: kinds }),
    ...found,
    ...(properties === undefined
      ? {}
      : {
          properties: Object.fromEntries(
            Object.entries(properties).map(([name, one]) => [name, schemaOf(one, document)]),
          ),
        }),
  };
}

function referred(ref, document) {
  return ref
    .replace("#/", "")
    .split("/")
    .reduce((place, name) => place[name], document);
}
