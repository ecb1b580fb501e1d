"""The peer of serve.py: FastAPI on uvicorn with transformers, batching as `cloze serve` does: what waits is sorted
by length and cut by a budget of tokens, and a batch starts as soon as the model is free."""

import argparse
import asyncio
import contextlib
import json

import torch
import uvicorn
from fastapi import FastAPI, Request
from transformers import AutoModelForMaskedLM, AutoTokenizer

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--threads", type=int, required=True)
parser.add_argument("--batch-tokens", type=int, default=1024)
parser.add_argument("--max-length", type=int, default=512)
args = parser.parse_args()

torch.set_num_threads(args.threads)
tokenizer = AutoTokenizer.from_pretrained(args.model)
model = AutoModelForMaskedLM.from_pretrained(args.model, dtype=torch.float32).eval()
LABELS = {"negative": ["bad", "terrible", "horrible", "awful"], "positive": ["good", "great", "wonderful", "excellent"]}
ids = [tokenizer.convert_tokens_to_ids(words) for words in LABELS.values()]
waiting = []
came = None


@contextlib.asynccontextmanager
async def lifespan(_):
    global came
    came = asyncio.Event()
    worker = asyncio.create_task(work())
    yield
    worker.cancel()


app = FastAPI(lifespan=lifespan)


def answer(rows):
    batch = tokenizer.pad({"input_ids": rows}, return_tensors="pt")
    with torch.inference_mode():
        states = model.base_model(**batch).last_hidden_state
        at = (batch["input_ids"] == tokenizer.mask_token_id).int().argmax(1)
        logits = model.cls(states[torch.arange(len(rows)), at])
        scores = torch.stack([logits[:, words].mean(1) for words in ids], 1)
        return scores.double().softmax(1).tolist()


async def work():
    loop = asyncio.get_running_loop()
    while True:
        await came.wait()
        taken = sorted(waiting, key=lambda each: len(each[0]))
        # The oldest, and those that are nearest to it in length.
        first = waiting[0]
        place = taken.index(first)
        low, high = place, place + 1
        while True:
            longer = taken[high] if high < len(taken) else None
            shorter = taken[low - 1] if low else None
            if longer and len(longer[0]) * (high - low + 1) <= args.batch_tokens:
                high += 1
            elif shorter and len(taken[high - 1][0]) * (high - low + 1) <= args.batch_tokens:
                low -= 1
            else:
                break
        chosen = taken[low:high]
        for each in chosen:
            waiting.remove(each)
        if not waiting:
            came.clear()
        shares = await loop.run_in_executor(None, answer, [row for row, _ in chosen])
        for (_, future), share in zip(chosen, shares):
            if not future.done():
                future.set_result(share)


@app.post("/classify")
async def classify(request: Request):
    body = json.loads(await request.body())
    texts = [body["text"]] if "text" in body else body["texts"]
    loop = asyncio.get_running_loop()
    futures = []
    for text in texts:
        row = tokenizer(f"{text} It was {tokenizer.mask_token}.", truncation=True, max_length=args.max_length)["input_ids"]
        futures.append(loop.create_future())
        waiting.append((row, futures[-1]))
    came.set()
    shares = await asyncio.gather(*futures)
    return {"predictions": [{"probabilities": dict(zip(LABELS, share))} for share in shares]}


uvicorn.run(app, host="127.0.0.1", port=args.port, log_level="error", access_log=False)
