import ollama

from expected import ADDRESS, TEXTS, all_close, main, vectors

client = ollama.Client(host=ADDRESS)


def test_embed():
    all_close(client.embed(model="served", input=TEXTS).embeddings, vectors(TEXTS))
    all_close([client.embeddings(model="served", prompt=TEXTS[0]).embedding], vectors(TEXTS[:1]))


def test_nothing_and_too_much():
    assert list(client.embed(model="served", input="").embeddings) == []
    try:
        client.embed(model="served", input="word " * 5000, truncate=False)
        raise AssertionError
    except ollama.ResponseError as error:
        assert error.status_code == 400 and "the input length exceeds the context length" in error.error, error


def test_list():
    assert [m.model for m in client.list().models] == ["served"]
    assert "embedding" in client.show("served").capabilities


if __name__ == "__main__":
    main(globals())
