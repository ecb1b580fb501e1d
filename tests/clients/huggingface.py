"""Python's huggingface_hub and curl as clients of the service: PYTHON tests/clients/huggingface.py CLOZE, where
PYTHON has huggingface_hub. `make test-clients` runs it in an environment of its own."""

import json
import os
import re
import subprocess
import sys
import tempfile

from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

KEY = "correct-horse-battery"


def main(cloze):
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as key:
        key.write(KEY + "\n")
        key.flush()
        service = subprocess.Popen(
            [cloze, "serve", "--port", "0", "--labels", "negative, positive", "--api-key-file", key.name],
            stderr=subprocess.PIPE, text=True)
        try:
            url = re.search(r"http://\S+", service.stderr.readline()).group(0).replace("localhost", "127.0.0.1")
            hugging_face(url)
            curl(url)
        finally:
            service.terminate()
            assert service.wait() == 0
    print("huggingface_hub and curl are answered")


def hugging_face(url):
    client = InferenceClient(base_url=url, api_key=KEY)
    best = client.text_classification("What a lovely film!")[0]
    assert best.label == "positive" and 0.5 < best.score <= 1, best
    assert len(client.text_classification("What a lovely film!", top_k=1)) == 1
    labels = ["sports", "business", "technology"]
    text = "The striker scored twice in the cup final."
    found = client.zero_shot_classification(text, labels)
    assert found[0].label == "sports" and abs(sum(each.score for each in found) - 1) < 1e-6, found
    found = client.zero_shot_classification(text, labels, multi_label=True, hypothesis_template="It is about {}.")
    assert found[0].label == "sports", found
    filled = InferenceClient(base_url=url + "/fill-mask", api_key=KEY).fill_mask("Paris is the [MASK] of France.", top_k=3)
    assert filled[1].token_str == "capital" and len(filled) == 3, filled
    assert filled[1].sequence == "Paris is the capital of France."
    try:
        InferenceClient(base_url=url, api_key="wrong").text_classification("a")
        raise AssertionError("a wrong key was taken")
    except HfHubHTTPError as error:
        assert error.response.status_code == 401, error


def curl(url):
    def asked(path, *arguments):
        command = ["curl", "--silent", "--show-error", "-H", f"Authorization: Bearer {KEY}", url + path, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def json_of(path, body):
        return json.loads(asked(path, "-H", "Content-Type: application/json", "--data", json.dumps(body)))

    answer = json_of("/classify", {"texts": ["What a lovely film!", "I want my money back."]})
    assert [each["label"] for each in answer["predictions"]] == ["positive", "negative"], answer
    answer = json.loads(asked("/classify", "--data", '{ "text": "a" }'))
    assert answer["error"] == "a request is JSON: send the header Content-Type: application/json", answer
    assert json_of("/predict", {"inputs": "Great!"})[0]["label"] == "positive"
    assert "cloze_requests_total" in asked("/metrics")


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]))
