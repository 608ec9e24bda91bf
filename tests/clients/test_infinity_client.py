from infinity_client import Client
from infinity_client.api.default import embeddings, health, models, rerank
from infinity_client.models import OpenAIEmbeddingInputText, RerankInput

from expected import ADDRESS, QUERY, TEXTS, all_close, main, same_ranking, vectors

client = Client(base_url=ADDRESS + "/infinity")


def test_embeddings():
    # As its users make one: it sends dimensions 0, a modality and the name of no model by itself.
    for body in (OpenAIEmbeddingInputText(input_=TEXTS), OpenAIEmbeddingInputText.from_dict({"input": TEXTS, "model": "served"})):
        found = embeddings.sync(client=client, body=body)
        all_close([d.embedding for d in found.data], vectors(TEXTS))
        assert found.id and found.created > 1_500_000_000


def test_models_and_health():
    (model,) = models.sync(client=client).data
    assert model.id == "served" and model.capabilities == ["embed", "rerank"] and "queue_fraction" in model.stats
    assert health.sync(client=client)["unix"] > 1_500_000_000


def test_rerank():
    found = rerank.sync(client=client, body=RerankInput(query=QUERY, documents=TEXTS))
    same_ranking([(r.index, r.relevance_score) for r in found.results])


if __name__ == "__main__":
    main(globals())
