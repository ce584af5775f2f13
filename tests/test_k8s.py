from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import manifests
import pytest
import ray
import yaml
from manifests import Manifests, build, name_of, problems

ROOT = Path(__file__).parent.parent
OVERLAYS = sorted(folder.name for folder in (ROOT / "k8s/overlays").iterdir())
FILES = sorted(str(file.relative_to(ROOT)) for file in (ROOT / "k8s").rglob("*.yaml"))


def can_build() -> bool:
    """Whether there is a kubectl with components and replacements, which Debian's own is too old for."""
    if not shutil.which("kubectl"):
        return False
    said = subprocess.run(["kubectl", "version", "--client", "-o", "json"], capture_output=True, text=True).stdout
    return json.loads(said or "{}").get("kustomizeVersion", "") >= "v5"


pytestmark = pytest.mark.skipif(not can_build(), reason="there is no kubectl with Kustomize 5")


@pytest.fixture(scope="session")
def definitions(data) -> Path:
    """The folder of the custom resources' definitions: KubeRay, Kueue, Prometheus operator."""
    if not (data / "crds").is_dir():
        pytest.skip("AUTOCHROME_DATA holds no crds/")
    return data / "crds"


@pytest.fixture(scope="module")
def built() -> dict[str, list[manifests.Object]]:
    return {overlay: build(ROOT / "k8s/overlays" / overlay) for overlay in OVERLAYS}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_overlay_keeps_the_rules_and_kubernetes_own_schemas(overlay, built):
    assert list(problems(built[overlay], ray.__version__, None)) == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_overlay_is_what_the_custom_resources_are_defined_to_be(overlay, built, definitions):
    assert list(manifests.schema_problems(built[overlay], definitions)) == []


def test_spot_machines_are_asked_before_on_demand_ones(built):
    for cluster in Manifests(built["gpu"], ray.__version__).clusters.values():
        ranks = {group["groupName"]: group["priority"] for group in cluster["workerGroupSpecs"]}
        assert ranks == {"gpu-spot": 10, "gpu-on-demand": 0}
        for group in cluster["workerGroupSpecs"]:
            assert group["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_setting_is_carried_somewhere(overlay):
    lines = (ROOT / "k8s/overlays" / overlay / "settings.env").read_text().splitlines()
    settings = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    components = [ROOT / "k8s/settings", *(ROOT / "k8s/overlays" / overlay).iterdir()]
    texts = [(folder / "kustomization.yaml").read_text() for folder in components if folder.is_dir()]
    carried = {key for text in texts for key in re.findall(r"fieldPath: data\.(\w+)", text)}
    assert settings - {"AWS_REGION"} == carried  # AWS_REGION is read from the environment


# ---- a wrong field in any file is noticed


def key_paths(value: Any, path: tuple = ()) -> Iterator[tuple]:
    if isinstance(value, dict):
        for key in value:
            yield (*path, key)
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in pairs:
        yield from key_paths(part, (*path, key))


def misspell(documents: list[Any], path: tuple) -> list[Any]:
    documents = copy.deepcopy(documents)
    *above, key = path
    there: Any = documents
    for step in above:
        there = there[step]
    there[key[:-2] + key[:-3:-1] if key[-1] != key[-2:-1] else key[:-1]] = there.pop(key)
    return documents


@pytest.fixture(scope="module")
def copied(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("k8s")
    shutil.copytree(ROOT / "k8s", folder / "k8s")
    shutil.copytree(ROOT / "deploy/monitoring", folder / "deploy/monitoring")
    for file in FILES:
        rewrite(folder / file, list(yaml.safe_load_all((ROOT / file).read_text())))
    return folder


def rewrite(file: Path, documents: list[Any]) -> None:
    file.write_text(yaml.safe_dump_all(json.loads(json.dumps(documents))))  # without anchors, each field its own


def is_noticed(overlay: Path, definitions: Path) -> bool:
    try:
        return next(problems(build(overlay), ray.__version__, definitions), None) is not None
    except subprocess.CalledProcessError:  # kustomize itself objects
        return True
    except (KeyError, TypeError):  # a rule stumbles over what is missing
        return True


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_without_a_misspelling_there_is_nothing_to_notice(overlay, copied, definitions):
    assert not is_noticed(copied / "k8s/overlays" / overlay, definitions)


@pytest.mark.parametrize("file", FILES)
def test_a_misspelled_key_is_noticed(file, copied, definitions):
    overlay = copied / "k8s/overlays" / (Path(file).parts[2] if "overlays" in file else "cpu")
    text = (copied / file).read_text()
    documents = list(yaml.safe_load_all(text))
    paths = list(key_paths(documents))
    try:
        for path in paths[:: max(1, len(paths) // 3)]:
            rewrite(copied / file, misspell(documents, path))
            assert is_noticed(overlay, definitions), path
    finally:
        (copied / file).write_text(text)


# ---- every rule bites

GONE = object()
HEAD = "spec headGroupSpec template spec"
WORKER = "spec workerGroupSpecs 0 template spec"
NIGHT = "spec jobTemplate spec template spec"
LONG = "a" * 54

WRONG = {
    ("gpu", "names", "RayJob colorize"): [
        ("metadata name", LONG[:48], "at most 47"),
    ],
    ("gpu", "names", "RayCluster autochrome"): [
        ("metadata name", LONG, "at most 53"),
    ],
    ("gpu", "names", "RayJob train"): [
        ("metadata name", "2-train", "DNS-1035"),
    ],
    ("gpu", "one_namespace", "RayJob train"): [
        ("metadata namespace", "default", "in namespace default"),
    ],
    ("kueue", "one_namespace", "ClusterQueue autochrome"): [
        ("metadata namespace", "autochrome", "not None"),
    ],
    ("gpu", "jobs", "RayJob colorize"): [
        ("spec submissionMode", "Bogus", "no submissionMode Bogus"),
        ("spec shutdownAfterJobFinishes", GONE, "ttlSecondsAfterFinished needs"),
        ("spec deletionStrategy", {"deletionRules": [{"policy": "DeleteSelf"}]}, "exclude"),
        ("spec deletionStrategy", {"deletionRules": [{"policy": "DeleteWorkers"}]}, "the autoscaler"),
        ("spec clusterSelector", {"ray.io/cluster": "autochrome"}, "clusterSelector excludes"),
        ("spec submissionMode", "InteractiveMode", "InteractiveMode excludes"),
        ("spec rayClusterSpec", {}, "neither"),
        ("spec rayClusterSpec authOptions enableK8sTokenAuth", True, "own tokens"),
        ("spec submissionMode", "SidecarMode", "excludes submitterPodTemplate"),
        ("spec submissionMode", "SidecarMode", "restricted namespace refuses"),
        ("spec submitterPodTemplate", GONE, "no securityContext"),
        ("spec backoffLimit", -1, "positive"),
        ("spec activeDeadlineSeconds", 0, "positive"),
        ("spec entrypointNumCpus", 1, "leaves the head"),
    ],
    ("gpu", "jobs", "RayJob train"): [
        ("spec shutdownAfterJobFinishes", False, "suspend needs"),
    ],
    ("gpu", "clusters", "RayCluster autochrome"): [
        ("spec rayVersion", "2.61.0", "the project's is"),
        ("spec rayVersion", "2.51.0", "tokens need"),
        ("spec authOptions", GONE, "must be token"),
        ("spec autoscalerOptions version", "v1", "autoscaler v2"),
        ("spec workerGroupSpecs 0 groupName", "gpu-on-demand", "same name"),
        ("spec headGroupSpec rayStartParams num-cpu", "0", "ray start has no"),
        ("spec headGroupSpec rayStartParams object-store-memory", GONE, "must be given"),
        ("spec workerGroupSpecs 0 suspend", True, "excludes suspended"),
        (f"{WORKER} restartPolicy", "Always", "restartPolicy Never"),
        ("spec workerGroupSpecs 0 minReplicas", 9, "not between"),
        (f"{HEAD} containers 0 env 0 value", "1", "usage statistics"),
        (f"{WORKER} containers 0 env 1 value", "8", "OMP_NUM_THREADS"),
    ],
    ("cpu", "clusters", "RayCluster autochrome"): [
        ("spec headGroupSpec rayStartParams object-store-memory", str(2 << 30), "leave"),
    ],
    ("gpu", "heads", "RayJob colorize"): [
        ("spec rayClusterSpec headGroupSpec rayStartParams num-cpus", "4", "num-cpus 0"),
    ],
    ("gpu", "heads", "RayCluster autochrome"): [
        ("spec headGroupSpec template metadata", GONE, "evicted"),
        ("spec headGroupSpec template metadata annotations karpenter.sh/do-not-disrupt", "no", "Karpenter"),
        (f"{HEAD} automountServiceAccountToken", False, "autoscaler needs"),
    ],
    ("gpu", "spot", "RayJob colorize"): [
        ("spec rayClusterSpec workerGroupSpecs 0 priority", 0, "higher priority"),
    ],
    ("gpu", "draining", "RayCluster autochrome"): [
        (f"{WORKER} containers 0 lifecycle", GONE, "no draining"),
        (f"{WORKER} containers 0 lifecycle preStop exec command 2", "ray drain-node --reason SPOT", "SPOT"),
        (f"{WORKER} terminationGracePeriodSeconds", GONE, "longer than the grace"),
    ],
    ("gpu", "restricted", "Namespace autochrome"): [
        ("metadata labels", {}, "does not enforce"),
    ],
    ("gpu", "restricted", "RayCluster autochrome"): [
        (f"{HEAD} securityContext runAsNonRoot", False, "as root"),
        (f"{WORKER} securityContext seccompProfile", GONE, "seccomp"),
        (f"{WORKER} hostNetwork", True, "host's"),
        (f"{WORKER} volumes 0", {"name": "tmp", "hostPath": {"path": "/tmp"}}, "volume tmp"),
        ("spec autoscalerOptions securityContext", GONE, "autoscaler: may gain"),
        (f"{HEAD} containers 0 securityContext runAsUser", 0, "as root"),
    ],
    ("gpu", "restricted", "CronJob nightly"): [
        (f"{NIGHT} containers 0 securityContext", GONE, "gain privileges"),
    ],
    ("gpu", "restricted", "RayJob train"): [
        ("spec submitterPodTemplate spec containers 0 securityContext capabilities", GONE, "keeps capabilities"),
    ],
    ("gpu", "resources", "RayCluster autochrome"): [
        (f"{WORKER} containers 0 resources limits memory", "64Gi", "equal"),
        ("spec autoscalerOptions resources", GONE, "autoscaler: limits"),
        (f"{WORKER} volumes 0 emptyDir", {}, "has no size"),
        (f"{HEAD} containers 0 volumeMounts 0 mountPath", "/scratch", "has no volume"),
    ],
    ("gpu", "resources", "CronJob nightly"): [
        (f"{NIGHT} containers 0 resources", GONE, "given"),
    ],
    ("gpu", "one_image", "RayCluster autochrome"): [
        (f"{HEAD} containers 0 image", "example/ray:1-ray2.60.0-cpu", "more than one"),
        (f"{HEAD} containers 0 image", "ghcr.io/example/autochrome:latest", "the tag must be"),
        (f"{HEAD} containers 0 image", "ghcr.io/example/autochrome", "the tag must be"),
    ],
    ("gpu", "no_credentials", "ConfigMap settings"): [
        ("kind", "Secret", "made with kubectl"),
        ("data AWS_SECRET_ACCESS_KEY", "x", "looks like"),
        ("data AWS_ENDPOINT_URL", "https://user:pass@example.org", "looks like"),
    ],
    ("gpu", "no_credentials", "RayCluster autochrome"): [
        (f"{HEAD} containers 0 env 1", {"name": "AWS_ACCESS_KEY_ID", "value": "x"}, "looks like"),
    ],
    ("gpu", "network", "NetworkPolicy default-deny"): [
        ("spec policyTypes", ["Ingress"], "nothing denies"),
    ],
    ("gpu", "network", "NetworkPolicy submitter"): [
        ("spec podSelector matchLabels", {"app.kubernetes.io/component": "sender"}, "selects no pod"),
        ("spec egress 0 to 0 podSelector matchLabels", {"ray.io/node-type": "header"}, "no pod is"),
    ],
    ("gpu", "network", "NetworkPolicy ray-nodes"): [
        ("spec policyTypes", ["Ingress"], "differ"),
    ],
    ("gpu", "network", "NetworkPolicy metrics"): [
        ("spec ingress 0 from", GONE, "everybody"),
        ("spec ingress 0 ports 3 port", 8080, "nobody may reach ports [9108]"),
    ],
    ("gpu", "network", "NetworkPolicy dashboard"): [
        ("spec ingress 0 ports 0 port", 8625, "no pod has a port 8625"),
        ("spec ingress 0 from 1 podSelector matchLabels", {"ray.io/node-type": "head"}, "not let in"),
    ],
    ("gpu", "network", "NetworkPolicy storage"): [
        ("spec egress", [{"ports": [{"port": 6443}]}], "cannot reach port 443"),
    ],
    ("gpu", "network", "NetworkPolicy dns"): [
        ("spec egress 0 ports", [], "cannot reach port 53"),
    ],
    ("gpu", "network", "CronJob nightly"): [
        ("spec jobTemplate spec template metadata labels", {}, "cannot reach port 8265"),
    ],
    ("gpu", "monitors", "PodMonitor ray-head"): [
        ("spec selector matchLabels", {"ray.io/node-type": "heads"}, "selects no pod"),
        ("spec podTargetLabels", GONE, "run together"),
        ("spec podMetricsEndpoints 3 port", "metrics", "nobody asks port job-metrics"),
    ],
    ("gpu", "monitors", "PodMonitor ray-workers"): [
        ("spec podMetricsEndpoints 0 port", "as-metrics", "has no port as-metrics"),
    ],
    ("gpu", "references", "RayCluster autochrome"): [
        (f"{WORKER} serviceAccountName", GONE, "nobody to the object store"),
        (f"{WORKER} serviceAccountName", "colors", "no ServiceAccount colors"),
        (f"{WORKER} volumes 0 name", "scratch", "not the mounted ones"),
        (f"{WORKER} volumes 1 secret optional", GONE, "may be absent"),
        (f"{HEAD} containers 0 envFrom 0 configMapRef name", "options", "there is no"),
        (f"{WORKER} containers 0 env 2 value", "/keys/aws", "nothing is mounted"),
        ("metadata name", "colors", "no RayCluster autochrome"),
    ],
    ("gpu", "references", "CronJob nightly"): [
        (f"{NIGHT} automountServiceAccountToken", GONE, "does not need"),
        (f"{NIGHT} containers 0 env 2 valueFrom secretKeyRef key", "token", "nobody makes"),
    ],
    ("kueue", "kueue", "ClusterQueue autochrome"): [
        ("spec resourceGroups 0 flavors 0 name", "gpu", "no ResourceFlavor gpu"),
        ("spec resourceGroups 0 coveredResources", ["cpu"], "coveredResources"),
        ("spec namespaceSelector", GONE, "admits nothing"),
        ("spec resourceGroups 0 flavors 0 resources 0 nominalQuota", "9", "more than the quota"),
    ],
    ("kueue", "kueue", "RayJob colorize"): [
        ("metadata labels", {}, "nothing waits"),
        ("spec suspend", True, "would wake it"),
        ("spec shutdownAfterJobFinishes", False, "Kueue needs shutdown"),
        ("spec rayClusterSpec enableInTreeAutoscaling", True, "excludes the autoscaler"),
        ("spec rayClusterSpec workerGroupSpecs 0 minReplicas", 0, "fixed number"),
    ],
    ("gpu", "kueue", "RayJob colorize"): [
        ("metadata labels", {"kueue.x-k8s.io/queue-name": "q"}, "excludes the autoscaler"),
    ],
    ("kueue", "kueue", "LocalQueue autochrome"): [
        ("spec clusterQueue", "all", "leads nowhere"),
    ],
    ("gpu", "entrypoints", "RayJob colorize"): [
        ("spec entrypoint", "python -m jobs.colorize in", "does not understand"),
        ("spec entrypoint", "python -m jobs.colorize in out --metrics 0.0.0.0:9109", "not on port"),
        ("spec entrypoint", "python -m jobs.colorize in out", "not what its cluster does"),
        ("spec entrypoint", "python -m jobs.colorize in out --autoscaling --workers 129", "waits for ever"),
        ("spec entrypoint", "python -m jobs.colorize in out --autoscaling --workers 8 --gpus 17", "waits for ever"),
    ],
    ("gpu", "entrypoints", "RayJob train"): [
        ("spec entrypoint", "python -m jobs.train in out --step 3 --no", "does not understand"),
        ("spec entrypoint", "python train.py", "not a job"),
        ("spec entrypoint", "python -m jobs.train DATASET out", "not filled in"),
    ],
    ("gpu", "entrypoints", "CronJob nightly"): [
        (f"{NIGHT} containers 0 command", ["python"], "line of bash"),
        (f"{NIGHT} containers 0 args 0", "exec ray job list", "submits nothing"),
        (f"{NIGHT} containers 0 args 0", "exec ray job submit --adress x -- python", "adress"),
        (f"{NIGHT} containers 0 args 0", "exec ray job submit --address x -- python", "name of its own"),
        (f"{NIGHT} containers 0 env 2 name", "TOKEN", "has no token"),
    ],
    ("gpu", "one_cluster", "RayJob train"): [
        ("spec rayClusterSpec autoscalerOptions idleTimeoutSeconds", 60, "its cluster is not"),
        ("spec rayClusterSpec suspend", True, "its cluster is not"),
    ],
    ("gpu", "asleep", "RayJob train"): [
        ("spec suspend", GONE, "awake"),
    ],
    ("gpu", "asleep", "RayJob colorize"): [
        ("spec suspend", True, "awake: []"),
        ("spec activeDeadlineSeconds", GONE, "for ever"),
    ],
    ("gpu", "asleep", "CronJob nightly"): [
        ("spec concurrencyPolicy", "Allow", "overlap"),
    ],
}  # fmt: skip


CASES = [(*where, *wrong) for where, several in WRONG.items() for wrong in several]


@pytest.mark.parametrize(("overlay", "rule", "thing", "path", "value", "message"), CASES)
def test_every_rule_bites(overlay, rule, thing, path, value, message, built):
    objects = copy.deepcopy(built[overlay])
    there: Any = next(candidate for candidate in objects if name_of(candidate) == thing)
    *above, last = (int(step) if step.isdigit() else step for step in path.split())
    for step in above:
        there = there[step]
    if value is GONE:
        del there[last]
    else:
        there[last] = value
    found = list(getattr(manifests, rule)(Manifests(objects, ray.__version__)))
    assert [problem for problem in found if message in problem], found


def test_no_rule_goes_without_such_a_test():
    assert {rule.__name__ for rule in manifests.RULES} == {rule for _, rule, _ in WRONG}
