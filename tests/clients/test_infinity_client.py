from infinity_client import Client
from infinity_client.api.default import embeddings, models, rerank
from infinity_client.models import OpenAIEmbeddingInputText, RerankInput

from expected import ADDRESS, QUERY, TEXTS, all_close, main, same_ranking, vectors

client = Client(base_url=ADDRESS + "/infinity")


def test_embeddings():
    body = OpenAIEmbeddingInputText.from_dict({"input": TEXTS, "model": "served"})
    found = embeddings.sync(client=client, body=body)
    all_close([d.embedding for d in found.data], vectors(TEXTS))


def test_rerank():
    found = rerank.sync(client=client, body=RerankInput.from_dict({"query": QUERY, "documents": TEXTS, "model": "served"}))
    same_ranking([(r.index, r.relevance_score) for r in found.results])


if __name__ == "__main__":
    main(globals())
