import openai

from expected import ADDRESS, TEXTS, all_close, main, vectors


def test_deployments():  # the client puts the model's name into the path
    client = openai.AzureOpenAI(azure_endpoint=ADDRESS, api_key="any", api_version="2024-10-21")
    found = client.embeddings.create(model="served", input=TEXTS)
    all_close([d.embedding for d in found.data], vectors(TEXTS))
    assert found.model == "served" and found.usage.total_tokens > 10
    client = openai.AzureOpenAI(azure_endpoint=ADDRESS, azure_deployment="served", api_key="any", api_version="2024-10-21")
    found = client.embeddings.create(model="text-embedding-3-small", input=TEXTS[0], encoding_format="float")
    all_close([found.data[0].embedding], vectors(TEXTS[:1]))


def test_v1():
    client = openai.OpenAI(base_url=ADDRESS + "/openai/v1/", default_query={"api-version": "preview"}, api_key="any")
    all_close([client.embeddings.create(model="served", input=TEXTS[0]).data[0].embedding], vectors(TEXTS[:1]))


def test_errors():
    client = openai.AzureOpenAI(azure_endpoint=ADDRESS, api_key="any", api_version="2024-10-21")
    try:
        client.embeddings.create(model="served", input="")
        raise AssertionError
    except openai.BadRequestError as error:
        assert error.param == "input" and "empty" in error.message, error


if __name__ == "__main__":
    main(globals())
