// @huggingface/inference against the server's own answers, every task that it has.
import assert from "node:assert/strict";
import { InferenceClient } from "@huggingface/inference";

const address = process.env.WDE_ADDRESS;
const texts = ["Leaves turn sunlight into sugar.", "An octopus has three hearts."];
const client = new InferenceClient().endpoint(address);
const classifier = new InferenceClient().endpoint(process.env.WDE_CLASSIFY_ADDRESS);
const tagger = new InferenceClient().endpoint(process.env.WDE_NER_ADDRESS);

async function ask(path, body) {
  const response = await fetch(address + path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  return response.json();
}

function close(found, expected) {
  assert.equal(found.length, expected.length);
  found.forEach((x, i) => assert.ok(Math.abs(x - expected[i]) < 1e-5, `${x} ${expected[i]}`));
}

const vectors = await ask("/embed", { inputs: texts });
close((await client.featureExtraction({ inputs: texts[0] }))[0], vectors[0]);
const both = await client.featureExtraction({ inputs: texts });
both.forEach((vector, i) => close(vector, vectors[i]));
console.log("ok featureExtraction");

const similar = await client.sentenceSimilarity({ inputs: { source_sentence: texts[0], sentences: texts } });
close(similar, vectors.map((v) => v.reduce((sum, x, i) => sum + x * vectors[0][i], 0)));
console.log("ok sentenceSimilarity");

const labels = await classifier.textClassification({ inputs: texts[0] });
assert.ok(labels.length > 1 && Math.abs(labels.reduce((sum, l) => sum + l.score, 0) - 1) < 1e-5, JSON.stringify(labels));
const best = await classifier.textClassification({ inputs: texts[0], parameters: { top_k: 1 } });
assert.deepEqual(best, labels.slice(0, 1));
console.log("ok textClassification");

// The client takes groups alone: what transformers calls "none" has an `entity`, which it calls malformed.
const entities = await tagger.tokenClassification({ inputs: texts[0], parameters: { aggregation_strategy: "simple" } });
assert.ok(entities.length > 0 && entities.every((e) => texts[0].slice(e.start, e.end) === e.word), JSON.stringify(entities));
assert.deepEqual(await tagger.tokenClassification({ inputs: texts[0] }), entities);
console.log("ok tokenClassification");

for (const [name, call] of [
  ["zeroShotClassification", () => classifier.zeroShotClassification({ inputs: texts, parameters: { candidate_labels: ["a", "b"] } })],
  ["fillMask", () => client.fillMask({ inputs: "the [MASK]" })],
  ["textClassification of an embedder", () => client.textClassification({ inputs: texts[0] })],
]) {
  await assert.rejects(call, undefined, name);
  console.log("ok refused:", name);
}
