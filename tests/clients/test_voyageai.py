import voyageai

from expected import ADDRESS, QUERY, TEXTS, all_close, main, same_ranking, vectors

client = voyageai.Client(api_key="any", base_url=ADDRESS + "/voyage/v1")


def test_embed():
    found = client.embed(TEXTS, model="served")
    all_close(found.embeddings, vectors(TEXTS))
    assert found.total_tokens > 10
    assert len(client.embed(TEXTS, model="served", output_dimension=32).embeddings[0]) == 32
    assert len(client.embed(TEXTS, model="served", output_dtype="ubinary").embeddings[0]) * 8 == len(found.embeddings[0])


def test_rerank():
    found = client.rerank(QUERY, TEXTS, model="served")
    same_ranking([(r.index, r.relevance_score) for r in found.results])


if __name__ == "__main__":
    main(globals())
