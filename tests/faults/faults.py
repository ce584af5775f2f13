"""What is done to a run. Each does it now and says to whom, or gives None while there is no victim at work."""

from __future__ import annotations

from collections.abc import Callable

import psutil
from faultproxy import Rule

from faults.cluster import Node
from faults.scene import Scene

Fault = Callable[[Scene], str | None]


def kill_decoder(scene: Scene) -> str | None:
    """The image process of a worker, in the middle of a picture."""
    for node in busy(scene):
        for decoder in node.decoders():
            if decoder.status() == psutil.STATUS_RUNNING:
                decoder.kill()
                return told(scene, node, f"decoder {decoder.pid}")
    return None


def kill_actor(scene: Scene) -> str | None:
    for node in busy(scene):
        if actors := node.actors():
            actor = scene.rng.choice(actors)
            what = f"{actor.cmdline()[0]} {actor.pid}"
            actor.kill()
            return told(scene, node, what)
    return None


def kill_node(scene: Scene) -> str | None:
    """No other node comes in its place."""
    for node in busy(scene):
        if len(scene.cluster.workers()) > 1 and node.actors():
            return told(scene, node, f"{node.kill()} processes")
    return None


def kill_preparer(scene: Scene) -> str | None:
    """The node of the only worker of the first stage; no other node comes in its place."""
    for node in busy(scene):
        if node.find("PrepareBlock"):
            return told(scene, node, f"{node.kill()} processes")
    return None


def replace_node(scene: Scene) -> str | None:
    """The spare joins some seconds later."""
    what = kill_node(scene)
    if what:
        scene.later(scene.rng.uniform(0, 6), scene.cluster.add)
    return what


def freeze_node(scene: Scene) -> str | None:
    """For too short a time to be held for dead."""
    for node in busy(scene):
        node.freeze()
        scene.later(5, node.thaw)
        return told(scene, node, "5 s")
    return None


def bury_node(scene: Scene) -> str | None:
    """Frozen until it is held for dead and others do its work; then it goes on with what it had in hand."""

    def look() -> None:
        if node.dead:
            return
        if node.name in scene.cluster.alive() and not scene.cluster.head.dead:
            scene.later(1, look)
        else:
            scene.cluster.add()
            scene.later(8, rise)

    def rise() -> None:
        before = scene.traffic.requests[node.name]
        node.thaw()
        node.dead = True
        scene.later(8, lambda: tell(before))

    def tell(before: int) -> None:
        scene.remarks.append(f"{node.name}: {scene.traffic.requests[node.name] - before} requests after its death")

    for node in busy(scene):
        if len(scene.cluster.workers()) > 1:
            node.freeze()
            scene.later(1, look)
            return told(scene, node, "until held for dead, and 8 s more")
    return None


def kill_driver(scene: Scene) -> str | None:
    working = [driver for driver in scene.running if driver.working]
    if not (working and busy(scene)):
        return None
    driver = scene.rng.choice(working)
    driver.kill()
    return f"driver {driver.process.pid}, one of {len(working)}"


def another_driver(scene: Scene) -> str | None:
    if not busy(scene) or len(scene.running) >= len(scene.cluster.workers()):
        return None
    return f"driver {scene.start_driver().process.pid} beside {len(scene.running) - 1}"


def kill_head(scene: Scene) -> str | None:
    if scene.cluster.head.dead or not busy(scene):
        return None
    for driver in scene.running:
        driver.killed = True  # by Ray, which ends a program that has lost its head
    return f"{scene.cluster.head.kill()} processes of the head"


def slow_storage(scene: Scene) -> str | None:
    wait, rate = round(scene.rng.uniform(0.2, 1.5), 1), scene.rng.choice([5_000, 20_000])
    rules = [Rule("latency", probability=0.4, seconds=wait), Rule("throttle", probability=0.6, rate=rate)]
    return disturbance(scene, rules, 8, f"{wait} s late, {rate:,} bytes a second")


def failing_storage(scene: Scene) -> str | None:
    rules = [
        Rule("status", probability=0.08),
        Rule("status", probability=0.08, status=500, code="InternalError"),
        Rule("status", probability=0.03, status=429, code="TooManyRequests", retry_after=1),
        Rule("reset", probability=0.06),
        Rule("truncate", method="GET", probability=0.08, at=2000),
        Rule("truncate", method="PUT", probability=0.08, at=2000, abort=True),
        Rule("corrupt", method="GET", probability=0.08, at=3000),
        Rule("corrupt", method="PUT", probability=0.08, at=3000),
        Rule("commit_then_reset", method="PUT", probability=0.05),
        Rule("hang", probability=0.01),
    ]
    return disturbance(scene, rules, 8, "a third of all answers are bad")


def no_storage(scene: Scene) -> str | None:
    """For longer than anybody tries again."""
    return disturbance(scene, [Rule("reset")], 30, "no answers at all")


def full_output(scene: Scene) -> str | None:
    rule = Rule("status", method="PUT", path=f"/{scene.output}/", status=507, code="InsufficientStorage")
    return disturbance(scene, [rule], scene.rng.choice([4, 30]), "507 on every PUT")


def forbidden_output(scene: Scene) -> str | None:
    rule = Rule("status", method="PUT", path=f"/{scene.output}/", status=403, code="QuotaExceeded")
    return disturbance(scene, [rule], scene.rng.choice([1, 15]), "403 on every PUT")


def rotate_credentials(scene: Scene) -> str | None:
    if not busy(scene):
        return None
    scene.rotate_credentials()
    return f"{scene.access_key} is the key now"


def busy(scene: Scene) -> list[Node]:
    """Nodes that read or stored a photo just now, in random order."""
    nodes = [node for node in scene.cluster.workers() if scene.traffic.busy(node)]
    return scene.rng.sample(nodes, len(nodes))


def told(scene: Scene, node: Node, what: str) -> str:
    return f"{what} of {node.name} after {scene.traffic.requests[node.name]} requests"


def disturbance(scene: Scene, rules: list[Rule], seconds: float, what: str) -> str | None:
    if not busy(scene):
        return None
    scene.disturb(rules, seconds)
    return f"{what} for {seconds} s"
