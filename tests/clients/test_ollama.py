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


def test_another_models_name():
    for ask in (lambda: client.embed(model="bge-m3", input="a"), lambda: client.show("bge-m3")):
        try:
            ask()
            raise AssertionError
        except ollama.ResponseError as error:
            assert error.status_code == 404 and "not found" in error.error, error


def test_list():
    assert [m.model for m in client.list().models] == ["served"]
    shown = client.show("served")
    assert "embedding" in shown.capabilities
    assert shown.modelinfo["bert.context_length"] == 256, shown.modelinfo


if __name__ == "__main__":
    main(globals())
