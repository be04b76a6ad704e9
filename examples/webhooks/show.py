"""Serves three customers' APIs, lets lockstepd call them, and prints how long changes took to get there."""

import asyncio
import json
import os
import resource
import signal
import sys
import time
import urllib.request
from datetime import datetime

CHANGES = int(sys.argv[1])
SLOW = float(os.environ["SLOW_SECONDS"])
CUSTOMERS = {  # route: (port, seconds that a call takes)
    "webhooks.customer_id-1": (9101, 0.3),
    "webhooks.customer_id-2": (9102, 0.3),
    "webhooks.slow": (9103, SLOW),
}
LOG = ".local/log/webhooks.log"
STATUS = "http://127.0.0.1:9100/status"
ORDER = ["Package Posted", "In Transit", "Package Delivered"]
GIVE_UP_AFTER = 1800  # seconds


class Customer:
    """One API: keeps what it was told, and takes its time to answer."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.calls = {}  # idempotency key: (change, when it came)
        self.again = 0

    async def serve(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
                body = await reader.readexactly(int(headers["content-length"]))
                key = headers["idempotency-key"]
                if key in self.calls:
                    self.again += 1
                else:
                    self.calls[key] = (json.loads(body), time.time())
                await asyncio.sleep(self.seconds)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def seconds_since_commit(self, since):
        late = []
        for change, came in self.calls.values():
            committed = datetime.fromisoformat(change["time"].replace("Z", "+00:00")).timestamp()
            if committed >= since:
                late.append(came - committed)
        return sorted(late)

    def overtaken(self):
        """Packages of which a status came before an earlier one."""
        last, wrong = {}, set()
        for change, _ in self.calls.values():
            row = change["after"] or {}
            at = ORDER.index(row["status"]) if row.get("status") in ORDER else -1
            if at < last.get(row.get("id"), -1):
                wrong.add(row["id"])
            last[row.get("id")] = at
        return len(wrong)


def ask_status():
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(STATUS, timeout=5) as answer:
        return {one["name"]: one for one in json.load(answer)["pipelines"]}


async def until_done(daemon):
    """Until every route is assigned its partition and has nothing left; what the routes say then."""
    deadline = time.monotonic() + GIVE_UP_AFTER
    told = 0.0
    while time.monotonic() < deadline:
        if daemon.returncode is not None:
            raise SystemExit(f"error: lockstepd has ended, {LOG} says why")
        try:
            routes = await asyncio.to_thread(ask_status)
        except OSError:
            routes = {}
        lags = {n: r.get("lag", {}).get("messages") for n, r in routes.items()}
        begun = [r for r in routes.values() if r.get("kafka", {}).get("partitions") and r["counters"]["records"]]
        if len(begun) == len(CUSTOMERS) and not any(lags.values()):
            return routes
        if time.monotonic() - told > 10 and lags:
            told = time.monotonic()
            print("changes to go: " + ", ".join(f"{n} {lag}" for n, lag in lags.items()), flush=True)
        await asyncio.sleep(0.5)
    raise SystemExit(f"error: not done after {GIVE_UP_AFTER} s, see {LOG}")


async def serve(customer, port):
    try:
        return await asyncio.start_server(customer.serve, "127.0.0.1", port, backlog=4096)
    except OSError as error:
        raise SystemExit(f"error: a customer wants port {port}: {error.strerror}") from None


async def main():
    for stop in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(stop, asyncio.current_task().cancel)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # thousands of calls wait for the slow one
    customers = {name: Customer(seconds) for name, (_, seconds) in CUSTOMERS.items()}
    servers = [await serve(customers[name], port) for name, (port, _) in CUSTOMERS.items()]
    begin = time.time()
    with open(LOG, "w", encoding="utf-8") as log:
        daemon = await asyncio.create_subprocess_exec(
            "examples/webhooks/run.sh", "daemon", stdout=log, stderr=log
        )
    try:
        print(f"{CHANGES} changes; the daemon's log is {LOG}", flush=True)
        maker = await asyncio.create_subprocess_exec("examples/webhooks/run.sh", "changes", str(CHANGES))
        if await maker.wait() != 0:
            raise SystemExit("error: the changes can't be made: does ./setup.sh status say that all runs?")
        routes = await until_done(daemon)
    finally:
        if daemon.returncode is None:
            daemon.send_signal(signal.SIGTERM)
        await daemon.wait()
        for server in servers:
            server.close()

    print(f"\n{'destination':24} {'answers in':>10} {'calls':>7} {'p50':>8} {'p99':>8}   from commit to call")
    lost = 0
    for name, customer in customers.items():
        late = customer.seconds_since_commit(begin) or [0.0]
        p50, p99 = (late[min(len(late) - 1, int(len(late) * share))] for share in (0.5, 0.99))
        print(f"{name:24} {customer.seconds:8.1f} s {len(customer.calls):7} {p50:6.2f} s {p99:6.2f} s")
        lost += abs(routes[name]["counters"]["changes"] - len(customer.calls))
    overtaken = sum(customer.overtaken() for customer in customers.values())
    again = sum(customer.again for customer in customers.values())
    print(f"lost {lost}, came twice {again}, overtaken {overtaken}; {time.time() - begin:.0f} s in all")
    raise SystemExit(1 if lost or overtaken else 0)


try:
    asyncio.run(main())
except asyncio.CancelledError:
    raise SystemExit(130) from None
