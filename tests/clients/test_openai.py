import asyncio

import openai

from expected import ADDRESS, TEXTS, all_close, main, vectors

client = openai.OpenAI(base_url=ADDRESS + "/v1", api_key="any")


def test_embeddings():  # base64, because the client asks for it by itself
    found = client.embeddings.create(model="served", input=TEXTS)
    all_close([d.embedding for d in found.data], vectors(TEXTS))
    assert found.model == "served" and found.usage.total_tokens > 10


def test_float_and_dimensions():
    found = client.embeddings.create(model="served", input=TEXTS[0], encoding_format="float", dimensions=64)
    assert len(found.data[0].embedding) == 64


def test_async():
    async def ask():
        async with openai.AsyncOpenAI(base_url=ADDRESS + "/v1", api_key="any") as c:
            return await asyncio.gather(*[c.embeddings.create(model="served", input=t) for t in TEXTS * 5])

    all_close([a.data[0].embedding for a in asyncio.run(ask())], vectors(TEXTS) * 5)


def test_models():
    assert [m.id for m in client.models.list()] == ["served"]
    assert client.models.retrieve("served").id == "served"


def test_errors():
    try:
        client.embeddings.create(model="served", input="")
        raise AssertionError
    except openai.BadRequestError as error:
        assert error.param == "input" and "empty" in error.message, error
    try:
        client.embeddings.create(model="served", input="word " * 5000, extra_body={"long_input": "error"})
        raise AssertionError
    except openai.BadRequestError as error:
        assert error.code == "context_length_exceeded", error
    try:
        client.models.retrieve("none")
        raise AssertionError
    except openai.NotFoundError as error:
        assert error.code == "model_not_found"


if __name__ == "__main__":
    main(globals())
