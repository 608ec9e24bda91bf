"""What every client must get: the server's own answer to a plain request, asked for with the standard library."""
import json
import os
import urllib.request

ADDRESS = os.environ["WDE_ADDRESS"]
TEXTS = ["Leaves turn sunlight into sugar.", "An octopus has three hearts.", "Compost becomes food for the garden."]
QUERY = "how do plants get their food?"


def ask(path, body):
    request = urllib.request.Request(ADDRESS + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def vectors(texts):
    return [d["embedding"] for d in ask("/v1/embeddings", {"input": texts})["data"]]


def close(found, expected, tolerance=1e-5):
    found, expected = list(found), list(expected)
    assert len(found) == len(expected), (len(found), len(expected))
    worst = max(abs(a - b) for a, b in zip(found, expected))
    assert worst <= tolerance, worst


def all_close(found, expected, tolerance=1e-5):
    assert len(found) == len(expected), (len(found), len(expected))
    for a, b in zip(found, expected):
        close(a, b, tolerance)


def ranking(documents=TEXTS, query=QUERY):
    """[(index, score)], the best first."""
    return [(r["index"], r["relevance_score"]) for r in ask("/v1/rerank", {"query": query, "documents": documents})["results"]]


def same_ranking(found, documents=TEXTS, query=QUERY):
    expected = ranking(documents, query)
    assert [i for i, _ in found] == [i for i, _ in expected], (found, expected)
    close([s for _, s in found], [s for _, s in expected])


def main(tests):
    for name, test in tests.items():
        if name.startswith("test_"):
            test()
            print("ok", name)
