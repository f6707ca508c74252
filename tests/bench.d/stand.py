"""Processes of the bench: how they are started, watched and ended."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
# DCMTK waits for delayed acknowledgments otherwise.
ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", "target")).absolute()
LOTSE = TARGET / "release/lotse"
PEER = TARGET / "test-env/peer"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def family(pid):
    """A process and all below it."""
    found = [pid]
    for one in found:
        try:
            for task in Path(f"/proc/{one}/task").glob("*/children"):
                found.extend(int(child) for child in task.read_text().split())
        except OSError:
            pass  # ended meanwhile
    return found


def cpu(pid):
    """Seconds of CPU of a process, of what it waits for and has waited for."""
    total = 0
    for one in family(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += sum(int(field) for field in fields[11:15])
    return total / TICKS


def resident(pid, key="VmRSS"):
    """MiB in memory of a process and all below it."""
    total = 0
    for one in family(pid):
        try:
            lines = Path(f"/proc/{one}/status").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith(key + ":"))
    return total / 1024


class Process:
    """A program under watch, its output in a file."""

    def __init__(self, arguments, log, port=None, patience=30, environment=None):
        self.log = open(log, "ab")
        self.log_path = log
        self.started = [str(argument) for argument in arguments]
        self.process = subprocess.Popen(
            # Ends with the bench, however that ends.
            ["setpriv", "--pdeathsig", "KILL", *self.started], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env={**ENVIRONMENT, **(environment or {})}, start_new_session=True,
        )
        self.pid = self.process.pid
        self.peak = 0.0
        self.watching = threading.Event()
        if port:
            self.wait_for(port, patience)

    def wait_for(self, port, patience):
        end = time.monotonic() + patience
        while True:
            if self.process.poll() is not None:
                self.kill()
                raise SystemExit(f"{self.started[0]} ended with {self.process.returncode}; see {self.log_path}")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                if time.monotonic() > end:
                    self.kill()
                    raise SystemExit(f"{self.started[0]} does not listen; see {self.log_path}") from None
                time.sleep(0.02)

    def watch(self):
        """Keeps the peak of memory, of forked children too; ten looks a second cost next to nothing."""
        def look():
            while not self.watching.wait(0.1):
                self.peak = max(self.peak, resident(self.pid))
        self.peak = resident(self.pid)
        threading.Thread(target=look, daemon=True).start()

    def cpu(self):
        return cpu(self.pid)

    def memory(self):
        """The peak in MiB: what the kernel noted for one process, or what was seen of several."""
        self.watching.set()
        return max(self.peak, resident(self.pid, "VmHWM"))

    def kill(self):
        """At once, as if the power were gone for it; what it has forked ends with it, even if it ended before."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()

    def stop(self):
        self.watching.set()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                pass
        self.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Refused(RuntimeError):
    """An upload that the gateway did not take."""

    def __init__(self, status, text):
        super().__init__(f"upload refused with {status}: {text}")
        self.status = status


class Gateway(Process):
    """Lotse as it is delivered: everything at its default but addresses."""

    def __init__(self, home, pacs_port=1, policy="automatic-with-order", quiet="1h", extra="", peers=("BENCH",), data=None,
                 environment=None, ris=None, burst="12h"):
        self.home, self.environment = home, environment
        home.mkdir(parents=True, exist_ok=True)
        self.data = data or home / "data"
        self.http_port, self.port = free_port(), free_port()
        key = home / "master.key"
        if not key.exists():
            key.write_bytes(os.urandom(32))
            key.chmod(0o600)
        (home / "worklist").mkdir(exist_ok=True)
        callers = "".join(
            f'[peers.{name.lower()}]\nae-title = "{name}"\naddress = "127.0.0.1:1"\nmay = ["echo", "store"]\n'
            for name in peers
        )
        worklist = f'folder = "{home}/worklist"'
        if ris:
            worklist = 'peer = "ris"'
            callers += f'[peers.ris]\nae-title = "RIS"\naddress = "127.0.0.1:{ris}"\n'
        config = f"""version = 1
[gateway]
institution = "Klinikum Beispiel"
data-dir = "{self.data}"
timezone = "Europe/Berlin"
[spool]
master-key-file = "{key}"
reserve = "1 MiB"
[dicom]
ae-title = "LOTSE"
quiet-time = "{quiet}"
longest-burst = "{burst}"
[[dicom.listeners]]
address = "127.0.0.1:{self.port}"
{callers}
[peers.pacs]
ae-title = "PACS"
address = "127.0.0.1:{pacs_port}"
[[worklist.sources]]
{worklist}
[destinations.pacs]
peer = "pacs"
[matching]
policy = "{policy}"
[retry]
first = "1s"
longest = "2s"
[http]
listen = "127.0.0.1:{self.http_port}"
{extra}
"""
        self.config = home / "lotse.toml"
        self.config.write_text(config)
        self.begin()

    def begin(self):
        super().__init__(
            [LOTSE, "serve", "--config", self.config], self.home / "lotse.log", self.http_port, 60, self.environment,
        )
        self.wait_for(self.port, 60)
        # The sockets stand before the rest of the gateway does.
        end = time.monotonic() + 60
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"lotse does not answer; see {self.log_path}")
            time.sleep(0.02)
        self.token = (self.data / "api.token").read_text().strip()

    def answers(self):
        self.token = ""
        try:
            return self.call("GET", "/healthz", timeout=5)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def call(self, method, path, body=None, kind="application/json", timeout=600):
        """One request; the answer as status and JSON."""
        link = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=timeout)
        try:
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
            link.request(method, path, body, headers)
            answer = link.getresponse()
            text = answer.read()
            is_json = "json" in (answer.getheader("Content-Type") or "")
            return answer.status, json.loads(text) if is_json else text.decode(errors="replace")
        finally:
            link.close()

    def upload(self, path, request):
        """A file with a request beside it, streamed; the import's id once it was acknowledged."""
        mark = "bench-boundary"
        head = (
            f'--{mark}\r\nContent-Disposition: form-data; name="request"\r\nContent-Type: application/json\r\n\r\n'
            f'{json.dumps(request)}\r\n--{mark}\r\nContent-Disposition: form-data; name="file"; '
            f'filename="{path.name}"\r\nContent-Type: application/zip\r\n\r\n'
        ).encode()
        tail = f"\r\n--{mark}--\r\n".encode()
        link = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=600, blocksize=1 << 20)
        try:
            link.putrequest("POST", "/api/v1/imports")
            link.putheader("Authorization", f"Bearer {self.token}")
            link.putheader("Content-Type", f"multipart/form-data; boundary={mark}")
            link.putheader("Content-Length", str(len(head) + path.stat().st_size + len(tail)))
            link.endheaders(head)
            with open(path, "rb") as file:
                while chunk := file.read(1 << 20):
                    link.send(chunk)
            link.send(tail)
            answer = link.getresponse()
            text = json.loads(answer.read())
            if answer.status != 202:
                raise Refused(answer.status, text)
            return text["id"]
        finally:
            link.close()

    def announce(self, length):
        """The status of an upload that only says how long it will be."""
        link = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=60)
        try:
            link.putrequest("POST", "/api/v1/imports")
            link.putheader("Authorization", f"Bearer {self.token}")
            link.putheader("Content-Type", "application/zip")
            link.putheader("Content-Length", str(length))
            link.endheaders()
            return link.getresponse().status
        finally:
            link.close()

    def show(self, import_id):
        return self.call("GET", f"/api/v1/imports/{import_id}")[1]

    def wait(self, import_id, done, patience=600, step=0.02):
        """Looks at an import until `done` says so."""
        end = time.monotonic() + patience
        while not done(seen := self.show(import_id)):
            if time.monotonic() > end:
                studies = [(study["state"], study.get("nextStep")) for study in seen.get("studies", [])]
                raise RuntimeError(f"import is still {seen['state']} ({studies}, {seen['nextStep']})")
            time.sleep(step)
        return seen


def run(arguments, log, timeout=1800, **more):
    """A program to its end."""
    with open(log, "ab") as out:
        code = subprocess.run(
            [str(argument) for argument in arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            env=ENVIRONMENT, timeout=timeout, check=False, **more,
        ).returncode
    if code:
        raise RuntimeError(f"{arguments[0]} failed with {code}; see {log}")


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def spent():
    """Seconds of CPU of all children that have ended."""
    times = os.times()
    return times.children_user + times.children_system
