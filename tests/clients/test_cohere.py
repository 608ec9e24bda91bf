import cohere

from expected import ADDRESS, QUERY, TEXTS, all_close, main, same_ranking, vectors

v2 = cohere.ClientV2(api_key="any", base_url=ADDRESS)
v1 = cohere.Client(api_key="any", base_url=ADDRESS)


def test_embed():
    found = v2.embed(model="served", texts=TEXTS, input_type="search_document", embedding_types=["float", "int8", "ubinary"])
    all_close(found.embeddings.float_, vectors(TEXTS))
    assert len(found.embeddings.ubinary[0]) * 8 == len(found.embeddings.int8[0]) == len(found.embeddings.float_[0])


def test_embed_v1():
    all_close(v1.embed(model="served", texts=TEXTS, input_type="search_document").embeddings, vectors(TEXTS))


def test_rerank():
    for client in (v1, v2):
        found = client.rerank(model="served", query=QUERY, documents=TEXTS)
        same_ranking([(r.index, r.relevance_score) for r in found.results])
    assert len(v2.rerank(model="served", query=QUERY, documents=TEXTS, top_n=1).results) == 1


def test_errors():
    try:
        v2.embed(model="served", texts=[], input_type="search_document", embedding_types=["float"])
        raise AssertionError
    except cohere.BadRequestError as error:
        assert "empty" in error.body["message"]


if __name__ == "__main__":
    main(globals())
