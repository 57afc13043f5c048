"""A trainer in Python for a site of Flare: docs/other-languages.md as a program. It needs numpy and msgpack.

    python3 trainer.py /run/flare/hospital-1.sock digits.csv
"""
import os, queue, socket, struct, sys, threading, time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # sums in one order: the same bits each time

import msgpack, numpy as np

HELLO, MESSAGE, OPEN, DATA, CREDIT, RESET, PING, PONG, CLOSE = range(1, 10)
DTYPES = {1: "<f4", 2: "<f8", 3: "<f2", 5: "i1", 6: "<i2", 7: "<i4", 8: "<i8", 9: "u1", 10: "<u2", 13: "?"}


class Site:
    """The connection to the site. A thread reads: it answers pings while the main thread trains."""

    def __init__(self, path):
        self.socket, self.tasks, self.cancelled = socket.socket(socket.AF_UNIX), queue.Queue(), set()
        while self.socket.connect_ex(path):  # the site may start later
            time.sleep(0.1)
        self.input = self.socket.makefile("rb")
        self.writing, self.turn, self.coming = threading.Lock(), threading.Condition(), {}
        self.stream, self.credit, self.failure = -1, 0, None
        self.send(HELLO, 0, b"FLARE\r\n\x1a" + struct.pack("<HHiiiiI", 1, 1, 65536, 1 << 20, 4, 8 << 20, 20000))
        self.window = struct.unpack_from("<HHiiiiI", self.frame()[2], 8)[5]
        threading.Thread(target=self.read, daemon=True).start()

    def send(self, kind, number, payload):
        with self.writing:
            self.socket.sendall(b"".join((struct.pack("<II", len(payload) | kind << 24, number), payload)))

    def frame(self):
        length, number = struct.unpack("<II", self.exactly(8))
        return length >> 24, number, self.exactly(length & 0xFFFFFF)

    def exactly(self, count):
        data = self.input.read(count)
        if len(data) < count:
            raise ConnectionError("the site is gone without a word")
        return data

    def read(self):
        try:
            while self.take(*self.frame()):
                pass
        except OSError as error:
            self.failure = str(error)
        with self.turn:
            self.credit = None
            self.turn.notify_all()
        self.tasks.put(None)

    def take(self, kind, number, payload):
        if kind == OPEN:
            self.coming[number] = payload[20:], struct.unpack_from("<Iqq", payload)[1], bytearray()
        elif kind == DATA and number in self.coming:
            self.coming[number][2].extend(payload)
            self.send(CREDIT, number, struct.pack("<i", len(payload)))
        elif kind in (CREDIT, RESET):
            with self.turn:
                if number == self.stream and self.credit is not None:
                    self.credit = None if kind == RESET else self.credit + struct.unpack("<i", payload)[0]
                self.turn.notify_all()
            kind == RESET and self.coming.pop(number, None)
        elif kind == MESSAGE:
            self.cancelled.add(msgpack.unpackb(payload)["task"])
        elif kind == PING:
            self.send(PONG, 0, payload)
        elif kind == CLOSE:
            self.send(CLOSE, 0, b"closed in answer")
        if kind in (OPEN, DATA) and number in self.coming and len(self.coming[number][2]) == self.coming[number][1]:
            head, _, content = self.coming.pop(number)
            self.tasks.put((msgpack.unpackb(head, ext_hook=lambda _, index: index[3]), content))
        return kind != CLOSE

    def answer(self, head, tensors=()):
        content = memoryview(b"".join(tensor.tobytes() for tensor in tensors))
        with self.turn:
            self.stream, self.credit = self.stream + 2, self.window
        self.send(OPEN, self.stream, struct.pack("<Iqq", 1, len(content), 0) + msgpack.packb(head))
        while content:
            with self.turn:  # no more than the site takes; None: it does not want the rest
                self.turn.wait_for(lambda: self.credit is None or self.credit > 0)
                if self.credit is None:
                    return
                part = content[:min(65528, self.credit)]
                self.credit -= len(part)
            self.send(DATA, self.stream, part)
            content = content[len(part):]


def unpack(layout, content):
    tensors, at = {}, 0
    for spec in layout:  # one after the other, nothing between them
        dtype, count = np.dtype(DTYPES[spec["dtype"]]), int(np.prod(spec["shape"], dtype=np.int64))
        tensors[spec["name"]] = np.frombuffer(content, dtype, count, at).reshape(spec["shape"])
        at += count * dtype.itemsize
    return tensors


def predict(w, x):
    scores = x @ w["linear.weight"].T + w["linear.bias"]
    shares = np.exp(scores - scores.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


def train(w, x, y, seed, is_cancelled, epochs=2, batch=16, rate=np.float32(0.5)):
    order, steps = np.random.default_rng(seed), 0
    for _ in range(epochs):
        for rows in np.split(order.permutation(len(x)), range(batch, len(x), batch)):
            if is_cancelled():
                break
            error = predict(w, x[rows])
            error[np.arange(len(rows)), y[rows]] -= 1
            w["linear.weight"] -= rate * (error.T @ x[rows]) / np.float32(len(rows))
            w["linear.bias"] -= rate * error.mean(0)
            steps += 1
    return steps


def execute(task, content, x, y, is_cancelled):
    if task["name"] not in ("train", "validate"):
        return {"code": 14, "error": f"this trainer does not know {task['name']}"}, ()
    layout = task["layouts"][task["body"]["tensors"]]
    model = unpack(layout, content)
    accuracy = {"accuracy": float((predict(model, x).argmax(1) == y).mean())}
    if task["name"] == "validate":
        return {"body": {"kind": 3, "values": accuracy, "meta": {"num_steps_current_round": len(x)}}}, ()
    trained = {name: tensor.copy() for name, tensor in model.items()}
    meta = {"num_steps_current_round": train(trained, x, y, task["seed"], is_cancelled), "initial_metrics": accuracy}
    body = {"kind": 2, "tensors": msgpack.ExtType(1, bytes(4)), "meta": meta}
    return {"body": body, "layouts": [layout]}, [trained[name] - model[name] for name in model]


def main(path, data):
    rows = np.loadtxt(data, np.float32, delimiter=",", ndmin=2)
    site, x, y = Site(path), rows[:, :-1], rows[:, -1].astype(np.int64)
    while (given := site.tasks.get()) is not None:
        number = given[0]["task"]
        try:
            head, tensors = execute(*given, x, y, lambda: number in site.cancelled)
        except Exception as error:  # whatever it is, the site's operator reads it
            head, tensors = {"error": f"{type(error).__name__}: {error}"}, ()
        site.answer({"task": number, **head}, tensors)
    return site.failure


sys.exit(main(*sys.argv[1:]))
