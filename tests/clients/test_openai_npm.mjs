// The npm package of OpenAI's client.
import assert from "node:assert";
import OpenAI from "openai";

const address = process.env.WDE_ADDRESS;
const texts = ["Leaves turn sunlight into sugar.", "An octopus has three hearts."];
const plain = async input => {
  const response = await fetch(address + "/v1/embeddings", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ input }) });
  return (await response.json()).data.map(d => d.embedding);
};
const client = new OpenAI({ baseURL: address + "/v1", apiKey: "any" });
const found = await client.embeddings.create({ model: "served", input: texts });
const expected = await plain(texts);
found.data.forEach((d, i) => d.embedding.forEach((x, k) => assert(Math.abs(x - expected[i][k]) < 1e-6)));
assert.equal(found.data[0].embedding.length, expected[0].length);
console.log("ok embeddings");
await assert.rejects(client.embeddings.create({ model: "served", input: "" }), error => error.status === 400 && error.param === "input");
console.log("ok errors");
