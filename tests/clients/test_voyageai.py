import voyageai

from expected import ADDRESS, QUERY, TEXTS, all_close, ask, main, same_ranking, vectors

client = voyageai.Client(api_key="any", base_url=ADDRESS + "/voyage/v1")


def test_embed():
    found = client.embed(TEXTS, model="served")
    all_close(found.embeddings, vectors(TEXTS))
    assert found.total_tokens > 10
    assert len(client.embed(TEXTS, model="served", output_dimension=32).embeddings[0]) == 32
    # It asks for base64 on its own, and takes what that holds for numpy's int8 and uint8.
    for dtype in ["int8", "uint8", "binary", "ubinary"]:
        lists = [d["embedding"] for d in ask("/voyage/v1/embeddings", {"input": TEXTS, "output_dtype": dtype})["data"]]
        assert client.embed(TEXTS, model="served", output_dtype=dtype).embeddings == lists
    assert len(lists[0]) * 8 == len(found.embeddings[0])


def test_rerank():
    found = client.rerank(QUERY, TEXTS, model="served")
    same_ranking([(r.index, r.relevance_score) for r in found.results])


if __name__ == "__main__":
    main(globals())
