"""Measures the same forest done the usual way: tree objects, floats, JSON, plain Python.

micropython baseline.py <folder of job.json>; prints one JSON line.
"""

import gc
import json
import math
import random
import sys
import time

folder = sys.argv[1]
with open(folder + "/job.json") as file:
    job = json.load(file)


class Node:
    def __init__(self, feature, threshold, left, right, size):
        self.feature = feature
        self.threshold = threshold
        self.left = left
        self.right = right
        self.size = size


def average_path_length(size):
    if size < 2:
        return 0.0
    if size == 2:
        return 1.0
    return 2.0 * (math.log(size - 1) + 0.5772156649) - 2.0 * (size - 1) / size


class Forest:
    def __init__(self, trees, subsample):
        self.trees = trees
        self.expected = average_path_length(subsample)

    def score(self, row):
        total = 0.0
        for node in self.trees:
            depth = 0
            while node.left is not None:
                node = node.left if row[node.feature] <= node.threshold else node.right
                depth += 1
            total += depth + average_path_length(node.size)
        return 2.0 ** (-total / len(self.trees) / self.expected)


def build(node):
    if "size" in node:
        return Node(None, None, None, None, node["size"])
    return Node(node["feature"], node["threshold"], build(node["left"]), build(node["right"]), 0)


def load(path):
    with open(path) as file:
        described = json.load(file)
    return Forest([build(tree) for tree in described["trees"]], described["subsample"])


def grow(rows, depth, limit):
    if depth < limit and len(rows) > 1:
        candidates = list(range(len(rows[0])))
        while candidates:
            feature = candidates.pop(random.randrange(len(candidates)))
            values = [row[feature] for row in rows]
            low = min(values)
            high = max(values)
            if low < high:
                threshold = random.uniform(low, high)
                left = [row for row in rows if row[feature] <= threshold]
                right = [row for row in rows if row[feature] > threshold]
                return Node(feature, threshold, grow(left, depth + 1, limit), grow(right, depth + 1, limit), 0)
    return Node(None, None, None, None, len(rows))


def train(rows):
    subsample = min(job["subsample"], len(rows))
    limit = math.ceil(math.log(subsample) / math.log(2))
    trees = []
    for _ in range(job["trees"]):
        drawn = list(rows)
        for i in range(subsample):
            j = random.randrange(i, len(drawn))
            drawn[i], drawn[j] = drawn[j], drawn[i]
        trees.append(grow(drawn[:subsample], 0, limit))
    return Forest(trees, subsample)


def median(values):
    return sorted(values)[len(values) // 2]


def inference_us(score, rows, repeats=5):
    times = []
    for row in rows:
        start = time.ticks_us()
        for _ in range(repeats):
            score(row)
        times.append(time.ticks_diff(time.ticks_us(), start) / repeats)
    return median(times)


def timed_ms(function, argument, repeats):
    times = []
    for _ in range(repeats):
        gc.collect()
        start = time.ticks_us()
        function(argument)
        times.append(time.ticks_diff(time.ticks_us(), start) / 1000)
    return median(times)


path = folder + "/forest.json"
figures = {}
gc.collect()
before = gc.mem_alloc()
forest = load(path)
gc.collect()
figures["ram_bytes"] = gc.mem_alloc() - before
if len(sys.argv) == 2:
    normal = [[float(x) for x in row] for row in job["normal"]]
    anomalous = [[float(x) for x in row] for row in job["anomalous"]]
    figures["infer_us"] = inference_us(forest.score, normal)
    figures["infer_anomalous_us"] = inference_us(forest.score, anomalous)
    figures["scores"] = [forest.score(row) for row in normal + anomalous]
    figures["load_ms"] = timed_ms(load, path, 5)
    width = job["features"]
    pool = [[float(x) for x in job["pool"][i : i + width]] for i in range(0, len(job["pool"]), width)]
    figures["train_ms"] = timed_ms(train, pool, 3)
print(json.dumps(figures))
