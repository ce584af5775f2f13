"""Kubernetes manifests: built as kubectl builds them, and held to schemas and to rules that no schema says."""

from __future__ import annotations

import functools
import importlib
import os
import re
import shlex
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml
from ray.dashboard.modules.job.cli import submit
from ray.scripts import scripts as ray_commands

from colorize_core import __version__

KUBERNETES = "1.34"
CUSTOM_GROUPS = ("ray.io", "kueue.x-k8s.io", "monitoring.coreos.com")
CLUSTER_SCOPED = {"Namespace", "ClusterQueue", "ResourceFlavor"}
Object = dict[str, Any]


def build(folder: Path) -> list[Object]:
    """What ``kubectl apply -k`` would send. Raises CalledProcessError with kubectl's words."""
    run = subprocess.run(
        ["kubectl", "kustomize", folder],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "KUBECONFIG": os.devnull},
    )
    return list(yaml.load_all(run.stdout, yaml.CSafeLoader))


# ---- schemas


@functools.cache
def custom_schemas(folder: Path) -> dict[tuple[str, str], jsonschema.Draft202012Validator]:
    """A validator for each apiVersion and kind that the definitions in a folder serve."""
    validators = {}
    for file in sorted(folder.glob("*.yaml")):
        definition = yaml.load(file.read_text(), yaml.CSafeLoader)["spec"]
        for version in definition["versions"]:
            schema = strict(version["schema"]["openAPIV3Schema"])
            schema["properties"].update(apiVersion={}, kind={}, metadata=METADATA)
            key = f"{definition['group']}/{version['name']}", definition["names"]["kind"]
            validators[key] = jsonschema.Draft202012Validator(schema)
    return validators


STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}
METADATA = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {}, "namespace": {}, "labels": STRINGS, "annotations": STRINGS},
    "additionalProperties": False,
}


def strict(schema: Object) -> Object:
    """JSON Schema for a structural schema of Kubernetes, in which an unknown field is an error."""
    made: Object = {}
    for key, value in schema.items():
        if key == "properties":
            made[key] = {name: strict(part) for name, part in value.items()}
        elif key in ("items", "not", "additionalProperties") and isinstance(value, dict):
            made[key] = strict(value)
        elif key in ("allOf", "anyOf", "oneOf"):
            made[key] = [strict(part) for part in value]
        elif key in ("type", "required", "enum", "pattern", "additionalProperties") or key.startswith(("min", "max")):
            made[key] = value
    whole = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-embedded-resource")
    if "properties" in schema and "additionalProperties" not in schema and not whole:
        made["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
    if schema.get("nullable") and "type" in made:
        made["type"] = [made["type"], "null"]
    return made


def schema_problems(objects: list[Object], definitions: Path | None) -> Iterator[str]:
    """Objects that the API server would refuse. Custom ones are looked at when there are definitions of them."""
    for thing in objects:
        version, kind = thing.get("apiVersion", ""), thing.get("kind", "")
        if version.partition("/")[0] not in CUSTOM_GROUPS:
            try:
                kubernetes_validate.validate(thing, KUBERNETES, strict=True)
            except kubernetes_validate.ValidationError as error:
                yield f"{name_of(thing)}: {error.message}"
            except kubernetes_validate.SchemaNotFoundError as error:
                yield error.message
        elif definitions:
            if validator := custom_schemas(definitions).get((version, kind)):
                for wrong in validator.iter_errors(thing):
                    yield f"{name_of(thing)}: {'.'.join(map(str, wrong.absolute_path))}: {wrong.message}"
            else:
                yield f"{name_of(thing)}: nothing serves {version}"


# ---- what is looked at by the rules


def name_of(thing: Object) -> str:
    return f"{thing.get('kind')} {thing.get('metadata', {}).get('name')}"


@dataclass(frozen=True)
class Pod:
    """A pod that will run: where it is described, the labels it will carry, its spec."""

    name: str
    labels: dict[str, str]
    spec: Object

    @property
    def containers(self) -> list[Object]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def ports(self) -> dict[str, int]:
        return {port["name"]: port["containerPort"] for c in self.containers for port in c.get("ports", [])}


@dataclass
class Manifests:
    objects: list[Object]
    ray_version: str
    clusters: dict[str, Object] = field(init=False)  # RayCluster specs, those of jobs included
    pods: list[Pod] = field(init=False)

    def __post_init__(self) -> None:
        self.clusters = {name_of(cluster): cluster["spec"] for cluster in self.of("RayCluster")}
        self.clusters |= {name_of(job): job["spec"].get("rayClusterSpec", {}) for job in self.of("RayJob")}
        self.pods = [pod for where, spec in self.clusters.items() for pod in ray_pods(where, spec)]
        for job in self.of("RayJob"):
            if template := job["spec"].get("submitterPodTemplate"):
                self.pods.append(pod_of(f"submitter of {name_of(job)}", template, {}))
        for cron in self.of("CronJob"):
            self.pods.append(pod_of(name_of(cron), cron["spec"]["jobTemplate"]["spec"]["template"], {}))

    def of(self, *kinds: str) -> list[Object]:
        return [thing for thing in self.objects if thing["kind"] in kinds]

    def selected(self, selector: Object) -> list[Pod]:
        return [pod for pod in self.pods if matches(selector, pod.labels)]


def pod_of(name: str, template: Object, labels: dict[str, str]) -> Pod:
    return Pod(name, template.get("metadata", {}).get("labels", {}) | labels, template["spec"])


def ray_pods(where: str, cluster: Object) -> Iterator[Pod]:
    """With the labels that KubeRay adds."""
    for group in groups(cluster):
        kind = "worker" if "groupName" in group else "head"
        labels = {"ray.io/cluster": where, "ray.io/node-type": kind, "ray.io/is-ray-node": "yes"}
        yield pod_of(f"{group.get('groupName', kind)} of {where}", group["template"], labels)


def groups(cluster: Object) -> list[Object]:
    return [cluster["headGroupSpec"], *cluster.get("workerGroupSpecs", [])] if "headGroupSpec" in cluster else []


def matches(selector: Object, labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels", {}).items()
    expressions = selector.get("matchExpressions", [])
    return wanted <= labels.items() and all(
        {"Exists": e["key"] in labels, "In": labels.get(e["key"]) in e.get("values", [])}[e["operator"]]
        for e in expressions
    )


def strings(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every string in a structure, with its path."""
    if isinstance(value, str):
        yield path, value
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from strings(part, f"{path}.{key}" if path else str(key))


def amount(quantity: str | int) -> Fraction:
    """A Kubernetes quantity: ``500m``, ``4Gi``, ``2``."""
    number, unit = re.fullmatch(r"([\d.]+)(m|[kKMGT]i?|)", str(quantity)).groups()  # type: ignore[union-attr]
    if unit == "m":
        return Fraction(number) / 1000
    return Fraction(number) * (1024 if unit.endswith("i") else 1000) ** " KMGT".find(unit[:1].upper() or " ")


def version_of(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def options(command: Any) -> set[str]:
    """The long options of a click command."""
    return {option.lstrip("-") for parameter in command.params for option in parameter.opts}


# ---- rules: each says what is wrong


def names(all_: Manifests) -> Iterator[str]:
    for thing in all_.of("RayJob", "RayCluster"):
        longest = 47 if thing["kind"] == "RayJob" else 53  # KubeRay appends to them
        if not re.fullmatch(rf"(?=.{{1,{longest}}}$)[a-z]([a-z0-9-]*[a-z0-9])?", thing["metadata"]["name"]):
            yield f"{name_of(thing)}: not a DNS-1035 label of at most {longest} characters"


def one_namespace(all_: Manifests) -> Iterator[str]:
    spaces = [space["metadata"]["name"] for space in all_.of("Namespace")]
    if len(spaces) != 1:
        yield f"one Namespace is wanted, there are {spaces}"
    for thing in all_.objects:
        expected = None if thing["kind"] in CLUSTER_SCOPED else spaces[0]
        if thing["metadata"].get("namespace") != expected:
            yield f"{name_of(thing)} is in namespace {thing['metadata'].get('namespace')}, not {expected}"


def jobs(all_: Manifests) -> Iterator[str]:
    """What KubeRay's operator checks of a RayJob."""
    for job in all_.of("RayJob"):
        name, spec = name_of(job), job["spec"]
        mode, rules = spec.get("submissionMode"), spec.get("deletionStrategy", {}).get("deletionRules")
        retries, selector = spec.get("backoffLimit", 0), spec.get("clusterSelector")
        cluster = spec.get("rayClusterSpec", {})
        autoscaler, head = cluster.get("enableInTreeAutoscaling"), groups(cluster)[:1]
        shutdown = spec.get("shutdownAfterJobFinishes", False)
        if mode not in ("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"):
            yield f"{name}: there is no submissionMode {mode}"
        if spec.get("suspend") and not shutdown:
            yield f"{name}: suspend needs shutdownAfterJobFinishes"
        if spec.get("ttlSecondsAfterFinished") and not shutdown:
            yield f"{name}: ttlSecondsAfterFinished needs shutdownAfterJobFinishes"
        if rules and shutdown:
            yield f"{name}: deletionRules exclude shutdownAfterJobFinishes"
        if autoscaler and any(rule.get("policy") == "DeleteWorkers" for rule in rules or []):
            yield f"{name}: DeleteWorkers excludes the autoscaler"
        if selector and (retries or spec.get("suspend") or mode == "SidecarMode"):
            yield f"{name}: clusterSelector excludes backoffLimit, suspend and SidecarMode"
        if mode == "InteractiveMode" and retries:
            yield f"{name}: InteractiveMode excludes backoffLimit"
        if not selector and not cluster:
            yield f"{name}: there is neither rayClusterSpec nor clusterSelector"
        if cluster.get("authOptions", {}).get("enableK8sTokenAuth"):
            yield f"{name}: Kubernetes' own tokens do not work for a RayJob"
        if mode == "SidecarMode":
            if spec.get("submitterPodTemplate") or spec.get("submitterConfig"):
                yield f"{name}: SidecarMode excludes submitterPodTemplate and submitterConfig"
            if any(group["template"]["spec"].get("restartPolicy", "Never") != "Never" for group in head):
                yield f"{name}: SidecarMode needs a head with restartPolicy Never"
            yield f"{name}: the sidecar has no securityContext, a restricted namespace refuses it"
        elif mode == "K8sJobMode" and not spec.get("submitterPodTemplate"):
            yield f"{name}: without submitterPodTemplate the submitter has no securityContext"
        if retries < 0 or min(spec.get("activeDeadlineSeconds", 1), spec.get("preRunningDeadlineSeconds", 1)) < 1:
            yield f"{name}: limits and deadlines are positive"
        if {"entrypointNumCpus", "entrypointNumGpus", "entrypointResources"} & spec.keys():
            yield f"{name}: with resources of its own the driver leaves the head for a machine that may go"


def clusters(all_: Manifests) -> Iterator[str]:
    """What KubeRay's operator checks of a cluster, and what the jobs need of it."""
    for name, spec in all_.clusters.items():
        version, autoscaler = spec.get("rayVersion", "0"), spec.get("enableInTreeAutoscaling")
        if version != all_.ray_version:
            yield f"{name}: rayVersion is {version}, the project's is {all_.ray_version}"
        if spec.get("authOptions", {}).get("mode") != "token":
            yield f"{name}: whoever reaches the dashboard may run code; authOptions.mode must be token"
        elif version_of(version) < (2, 52):
            yield f"{name}: tokens need Ray 2.52"
        if autoscaler and spec.get("autoscalerOptions", {}).get("version") != "v2":
            yield f"{name}: group priorities need autoscaler v2"
        found = groups(spec)
        if len({group.get("groupName") for group in found}) < len(found):
            yield f"{name}: groups of the same name"
        for group in found:
            where = f"{name}, {group.get('groupName', 'head')}"
            start, container = group.get("rayStartParams", {}), group["template"]["spec"]["containers"][0]
            if unknown := start.keys() - options(ray_commands.start):
                yield f"{where}: ray start has no {unknown}"
            store = int(start.get("object-store-memory", 0))
            if not 75 << 20 < store <= amount(container.get("resources", {}).get("limits", {}).get("memory", 0)) / 4:
                yield f"{where}: object-store-memory must be given, and leave the pod's memory to the work"
            if autoscaler and group.get("suspend"):
                yield f"{where}: the autoscaler excludes suspended groups"
            if autoscaler and group["template"]["spec"].get("restartPolicy", "Never") != "Never":
                yield f"{where}: autoscaler v2 needs restartPolicy Never"
            if not group.get("minReplicas", 0) <= group.get("replicas", 0) <= group.get("maxReplicas", 0):
                yield f"{where}: replicas are not between minReplicas and maxReplicas"
            environment = {entry["name"]: entry.get("value") for entry in container.get("env", [])}
            if environment.get("RAY_USAGE_STATS_ENABLED") != "0":
                yield f"{where}: usage statistics are on"
            if "groupName" in group and environment.get("OMP_NUM_THREADS") != "1":
                yield f"{where}: without OMP_NUM_THREADS=1 every process takes every core"


def heads(all_: Manifests) -> Iterator[str]:
    for name, spec in all_.clusters.items():
        for head in groups(spec)[:1]:
            if head.get("rayStartParams", {}).get("num-cpus") != "0":
                yield f"{name}: the head must have num-cpus 0"
            notes = head["template"].get("metadata", {}).get("annotations", {})
            if notes.get("cluster-autoscaler.kubernetes.io/safe-to-evict") != "false":
                yield f"{name}: the head may be evicted"
            if notes.get("karpenter.sh/do-not-disrupt") != "true":
                yield f"{name}: the head may be moved by Karpenter"
            if spec.get("enableInTreeAutoscaling") and not head["template"]["spec"].get("automountServiceAccountToken"):
                yield f"{name}: the autoscaler needs the account's token"


def spot(all_: Manifests) -> Iterator[str]:
    for name, spec in all_.clusters.items():
        ranks = {group["groupName"]: group.get("priority", 0) for group in spec.get("workerGroupSpecs", [])}
        cheap = [rank for group, rank in ranks.items() if "spot" in group]
        dear = [rank for group, rank in ranks.items() if "spot" not in group]
        if cheap and dear and min(cheap) <= max(dear):
            yield f"{name}: spot machines must have the higher priority, not {ranks}"


def draining(all_: Manifests) -> Iterator[str]:
    """Workers say that they go, in words that this Ray understands, and have the time to."""
    for pod in all_.pods:
        if pod.labels.get("ray.io/node-type") != "worker":
            continue
        command = pod.containers[0].get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [""])
        words = shlex.split(command[-1].partition("&&")[0])
        if words[:2] != ["ray", "drain-node"]:
            yield f"{pod.name}: no draining before the stop"
            continue
        try:
            given = ray_commands.drain_node.make_context("drain-node", words[2:]).params
        except Exception as error:
            yield f"{pod.name}: {error}"
            continue
        if not 0 < given["deadline_remaining_seconds"] < pod.spec.get("terminationGracePeriodSeconds", 30):
            yield f"{pod.name}: draining takes longer than the grace period"


def restricted(all_: Manifests) -> Iterator[str]:
    """Pod security standard `restricted`, for every container that will be in the namespace."""
    for space in all_.of("Namespace"):
        if space["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"{name_of(space)} does not enforce pod security"
    harmless = {"configMap", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
    for pod in all_.pods:
        user = pod.spec.get("securityContext", {})
        if user.get("runAsNonRoot") is not True or not user.get("runAsUser"):
            yield f"{pod.name}: may run as root"
        if user.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{pod.name}: no seccomp profile"
        if any(pod.spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
            yield f"{pod.name}: shares the host's namespaces"
        for volume in pod.spec.get("volumes", []):
            if volume.keys() - {"name"} - harmless:
                yield f"{pod.name}: volume {volume['name']} is not allowed"
        for container in pod.containers:
            yield from unrestricted(f"{pod.name}, {container['name']}", container.get("securityContext", {}))
    for name, spec in all_.clusters.items():
        if spec.get("enableInTreeAutoscaling"):
            yield from unrestricted(f"{name}, autoscaler", spec.get("autoscalerOptions", {}).get("securityContext", {}))


def unrestricted(name: str, context: Object) -> Iterator[str]:
    if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
        yield f"{name}: may gain privileges"
    capabilities = context.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"{name}: keeps capabilities"
    if context.get("runAsNonRoot") is False or context.get("runAsUser") == 0:
        yield f"{name}: may run as root"


def resources(all_: Manifests) -> Iterator[str]:
    for pod in all_.pods:
        for container in pod.containers:
            yield from unmeasured(f"{pod.name}, {container['name']}", container.get("resources", {}))
        disk = sum(amount(c.get("resources", {}).get("limits", {}).get("ephemeral-storage", 0)) for c in pod.containers)
        for volume in pod.spec.get("volumes", []):
            if "emptyDir" in volume and not 0 < amount(volume["emptyDir"].get("sizeLimit", 0)) < disk:
                yield f"{pod.name}: volume {volume['name']} has no size, or more than the pod's ephemeral-storage"
        if pod.labels.get("ray.io/node-type") and "/tmp" not in mounts(pod):
            yield f"{pod.name}: /tmp, where Ray and the scans at work are, has no volume"

    for name, spec in all_.clusters.items():
        if spec.get("enableInTreeAutoscaling"):
            yield from unmeasured(f"{name}, autoscaler", spec.get("autoscalerOptions", {}).get("resources", {}))


def unmeasured(name: str, needs: Object) -> Iterator[str]:
    limits = needs.get("limits", {})
    if not {"cpu", "memory"} <= limits.keys() or limits != needs.get("requests"):
        yield f"{name}: limits and requests must be given and equal"


def mounts(pod: Pod) -> dict[str, str]:
    return {mount["mountPath"]: mount["name"] for c in pod.containers for mount in c.get("volumeMounts", [])}


def one_image(all_: Manifests) -> Iterator[str]:
    images = {container["image"] for pod in all_.pods for container in pod.containers}
    for spec in all_.clusters.values():
        images |= {image for path, image in strings(spec.get("autoscalerOptions")) if path == "image"}
    if len(images) > 1:
        yield f"more than one image: {sorted(images)}"
    for image in images:
        tag = image.rpartition(":")[2] if ":" in image else ""
        if not tag.startswith(f"{__version__}-ray{all_.ray_version}-"):
            yield f"{image}: the tag must be {__version__}-ray{all_.ray_version}-cpu or -cuda"


CREDENTIAL = re.compile(
    r"AKIA[0-9A-Z]{16}|ASIA[0-9A-Z]{16}|-----BEGIN|eyJ[\w-]{20,}|gh[pous]_\w{20,}|//[^/@\s]+:[^/@\s]+@"
)
SECRET_NAME = re.compile(r"(?i)(secret_?(access_?)?key|access_?key_?id|password|passwd|_token|api_?key)$")


def no_credentials(all_: Manifests) -> Iterator[str]:
    for thing in all_.objects:
        if thing["kind"] == "Secret":
            yield f"{name_of(thing)}: secrets are made with kubectl, not kept in files"
        for path, text in strings(thing):
            if CREDENTIAL.search(text) or (thing["kind"] == "ConfigMap" and text and SECRET_NAME.search(path)):
                yield f"{name_of(thing)}: {path} looks like a credential"
    for pod in all_.pods:
        for container in pod.containers:
            for entry in container.get("env", []):
                if entry.get("value") and SECRET_NAME.search(entry["name"]):
                    yield f"{pod.name}: {entry['name']} looks like a credential"


def network(all_: Manifests) -> Iterator[str]:
    policies = all_.of("NetworkPolicy")
    if not any(p["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} for p in policies):
        yield "nothing denies what is not allowed"
    allowed: dict[str, set[int]] = {}
    for policy in policies:
        name, spec = name_of(policy), policy["spec"]
        chosen = all_.selected(spec.get("podSelector", {}))
        if not chosen:
            yield f"{name}: selects no pod"
        for direction, side in (("Ingress", "from"), ("Egress", "to")):
            if direction.lower() in spec and direction not in spec["policyTypes"]:
                yield f"{name}: policyTypes and rules differ"
            for rule in spec.get(direction.lower(), []):
                peers = rule.get(side, [])
                inside = [pod for peer in peers if "podSelector" in peer for pod in all_.selected(peer["podSelector"])]
                if any("podSelector" in peer for peer in peers) and not inside:
                    yield f"{name}: names a peer that no pod is"
                if side == "from" and not peers:
                    yield f"{name}: lets everybody in"
                for port in (entry["port"] for entry in rule.get("ports", [])):
                    targets = chosen if side == "from" else inside
                    for pod in targets if side == "from" else ():
                        allowed.setdefault(pod.name, set()).add(port)
                    if targets and not any(port in pod.ports.values() for pod in targets):
                        yield f"{name}: no pod has a port {port}"
    for pod in all_.pods:
        outside = set(pod.ports.values()) - {6379}  # among Ray's own pods everything is open
        if missing := outside - allowed.get(pod.name, set()):
            yield f"{pod.name}: nobody may reach ports {sorted(missing)}"
    for pod in all_.pods:
        submits = "ray.io/node-type" not in pod.labels
        for port in (53, 8265 if submits else 443):
            if not any(port in ports for policy, ports in ports_of(policies, "egress") if matches(policy, pod.labels)):
                yield f"{pod.name}: cannot reach port {port}"
        peers = [peer["podSelector"] for p in policies for rule in p["spec"].get("ingress", []) if rule.get("ports")
                 for peer in rule.get("from", []) if "podSelector" in peer]  # fmt: skip
        if submits and not any(matches(peer, pod.labels) for peer in peers):
            yield f"{pod.name}: is not let in where jobs are submitted"


def ports_of(policies: list[Object], direction: str) -> Iterator[tuple[Object, list[int]]]:
    """The pods that each rule is for, and its ports."""
    for policy in policies:
        for rule in policy["spec"].get(direction, []):
            yield policy["spec"].get("podSelector", {}), [entry["port"] for entry in rule.get("ports", [])]


def monitors(all_: Manifests) -> Iterator[str]:
    watched = set()
    for monitor in all_.of("PodMonitor"):
        spec = monitor["spec"]
        chosen = all_.selected(spec.get("selector", {}))
        if not chosen:
            yield f"{name_of(monitor)}: selects no pod"
        if "ray.io/cluster" not in spec.get("podTargetLabels", []):
            yield f"{name_of(monitor)}: figures of several clusters would run together"
        for endpoint in spec["podMetricsEndpoints"]:
            for pod in chosen:
                if endpoint["port"] not in pod.ports:
                    yield f"{name_of(monitor)}: {pod.name} has no port {endpoint['port']}"
                watched.add((pod.name, endpoint["port"]))
    for pod in all_.pods:
        for port in pod.ports:
            if port.endswith("metrics") and (pod.name, port) not in watched:
                yield f"{pod.name}: nobody asks port {port}"


def references(all_: Manifests) -> Iterator[str]:
    """What is named exists: accounts, settings, tokens, volumes, services, queues."""
    there = {(thing["kind"], thing["metadata"]["name"]) for thing in all_.objects}
    tokens = {(cluster["metadata"]["name"], "auth_token") for cluster in all_.of("RayCluster")}  # KubeRay makes it
    for pod in all_.pods:
        account = pod.spec.get("serviceAccountName")
        if pod.labels.get("ray.io/node-type") and not account:
            yield f"{pod.name}: without serviceAccountName it is nobody to the object store"
        if account and ("ServiceAccount", account) not in there:
            yield f"{pod.name}: there is no ServiceAccount {account}"
        if pod.labels.get("ray.io/node-type") != "head" and pod.spec.get("automountServiceAccountToken") is not False:
            yield f"{pod.name}: has a token for Kubernetes that it does not need"
        volumes = {volume["name"] for volume in pod.spec.get("volumes", [])}
        if volumes != set(mounts(pod).values()):
            yield f"{pod.name}: volumes {volumes} are not the mounted ones"
        for volume in pod.spec.get("volumes", []):
            if "secret" in volume and not volume["secret"].get("optional"):
                yield f"{pod.name}: waits for Secret {volume['secret'].get('secretName')}, which may be absent"
        for container in pod.containers:
            for source in container.get("envFrom", []):
                if ("ConfigMap", source.get("configMapRef", {}).get("name")) not in there:
                    yield f"{pod.name}: there is no {source}"
            for entry in container.get("env", []):
                key = entry.get("valueFrom", {}).get("secretKeyRef")
                if key and (key["name"], key["key"]) not in tokens:
                    yield f"{pod.name}: nobody makes {key}"
                path = entry.get("value") or ""
                if entry["name"] == "AWS_SHARED_CREDENTIALS_FILE" and str(Path(path).parent) not in mounts(pod):
                    yield f"{pod.name}: nothing is mounted at {path}"
    for thing in all_.objects:
        for path, text in strings(thing):
            for cluster in re.findall(r"http://([\w-]+)-head-svc", text):
                if ("RayCluster", cluster) not in there:
                    yield f"{name_of(thing)}: {path}: there is no RayCluster {cluster}"


def kueue(all_: Manifests) -> Iterator[str]:
    queues = {queue["metadata"]["name"]: queue["spec"]["clusterQueue"] for queue in all_.of("LocalQueue")}
    flavors = {flavor["metadata"]["name"] for flavor in all_.of("ResourceFlavor")}
    quotas: dict[str, dict[str, Fraction]] = {}
    for queue in all_.of("ClusterQueue"):
        quota = quotas.setdefault(queue["metadata"]["name"], {})
        for group in queue["spec"].get("resourceGroups", []):
            for flavor in group["flavors"]:
                if flavor["name"] not in flavors:
                    yield f"{name_of(queue)}: there is no ResourceFlavor {flavor['name']}"
                if [part["name"] for part in flavor["resources"]] != group["coveredResources"]:
                    yield f"{name_of(queue)}: coveredResources are not those of the flavor"
                for part in flavor["resources"]:
                    quota[part["name"]] = quota.get(part["name"], Fraction(0)) + amount(part["nominalQuota"])
        labels = {"kubernetes.io/metadata.name": all_.of("Namespace")[0]["metadata"]["name"]}
        if not matches(queue["spec"].get("namespaceSelector", {"matchLabels": {"": ""}}), labels):
            yield f"{name_of(queue)}: admits nothing of this namespace"
    queued = [thing for thing in all_.objects if "kueue.x-k8s.io/queue-name" in thing["metadata"].get("labels", {})]
    if queues and not queued:
        yield "nothing waits in the queue"
    for job in queued:
        name, queue = name_of(job), job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"]
        if job["spec"].get("suspend"):
            yield f"{name}: Kueue would wake it"
        if not job["spec"].get("shutdownAfterJobFinishes"):
            yield f"{name}: Kueue needs shutdownAfterJobFinishes"
        cluster = all_.clusters[name]
        if cluster.get("enableInTreeAutoscaling"):
            yield f"{name}: Kueue excludes the autoscaler"
        demand: dict[str, Fraction] = {}
        counts = [1, *(group.get("replicas", 0) for group in cluster.get("workerGroupSpecs", []))]
        for group in cluster.get("workerGroupSpecs", []):
            if not 0 < group.get("replicas", 0) == group["minReplicas"] == group["maxReplicas"]:
                yield f"{name}: Kueue needs a fixed number of {group['groupName']}"
        pods = [pod for pod in all_.pods if pod.name.endswith(f"of {name}") and "ray.io/cluster" in pod.labels]
        pods += [pod for pod in all_.pods if pod.name == f"submitter of {name}"]
        for pod, count in zip(pods, [*counts, 1], strict=False):
            for container in pod.containers:
                for key, value in container["resources"]["requests"].items():
                    demand[key] = demand.get(key, Fraction(0)) + count * amount(value)
        if queues and queues.get(queue) not in quotas:
            yield f"{name}: queue {queue} leads nowhere"
        elif queues and any(need > quotas[queues[queue]].get(key, 0) for key, need in demand.items()):
            yield f"{name}: asks for more than the quota, { ({k: float(v) for k, v in demand.items()}) }"


def entrypoints(all_: Manifests) -> Iterator[str]:
    """The jobs themselves understand their command lines, and measure themselves where Prometheus asks."""
    for job in all_.of("RayJob"):
        yield from refused(name_of(job), shlex.split(job["spec"].get("entrypoint", "")), all_)
    for cron in all_.of("CronJob"):
        pod = next(pod for pod in all_.pods if pod.name == name_of(cron))
        if pod.containers[0].get("command") != ["bash", "-c"]:
            yield f"{name_of(cron)}: what is submitted is a line of bash"
            continue
        words = shlex.split(pod.containers[0]["args"][0])
        if words[:4] != ["exec", "ray", "job", "submit"] or "--" not in words:
            yield f"{name_of(cron)}: submits nothing"
            continue
        end = words.index("--")
        try:
            given = submit.make_context("submit", words[4:end] + ["--", "true"]).params
        except Exception as error:
            yield f"{name_of(cron)}: {error}"
            continue
        variables = {f"${entry['name']}" for entry in pod.containers[0].get("env", [])}
        if not given["address"] or given["submission_id"] not in variables:
            yield f"{name_of(cron)}: a night must have an address and a name of its own"
        if {"$RAY_AUTH_MODE", "$RAY_AUTH_TOKEN"} - variables:
            yield f"{name_of(cron)}: has no token"
        yield from refused(name_of(cron), words[end + 1 :], all_)


def refused(name: str, words: list[str], all_: Manifests) -> Iterator[str]:
    if words[:2] != ["python", "-m"] or len(words) < 3 or words[2] not in ("jobs.colorize", "jobs.train"):
        yield f"{name}: runs {words[:3]}, not a job"
        return
    try:
        args = importlib.import_module(words[2]).parse(words[3:])
    except SystemExit:
        yield f"{name}: {words[2]} does not understand {shlex.join(words[3:])}"
        return
    for place in vars(args).values():
        if isinstance(place, str) and place.isupper():
            yield f"{name}: {place} was not filled in"
    if words[2] == "jobs.colorize":
        ports = {pod.ports.get("job-metrics") for pod in all_.pods if pod.labels.get("ray.io/node-type") == "head"}
        if {word for word in words if word.startswith("0.0.0.0:")} != {f"0.0.0.0:{port}" for port in ports}:
            yield f"{name}: its metrics are not on port job-metrics of the head, {ports}"
        for cluster in list(all_.clusters.values())[:1]:
            most = largest(cluster)
            if args.autoscaling != bool(cluster.get("enableInTreeAutoscaling")):
                yield f"{name}: --autoscaling is not what its cluster does"
            if (args.workers or 0) > most["cpu"] or (args.gpus or 0) > most["nvidia.com/gpu"]:
                yield f"{name}: waits for ever for {args.workers} CPUs and {args.gpus} GPUs of {dict(most)}"


def largest(cluster: Object) -> Counter[str]:
    """CPUs and GPUs of a cluster with every worker it may have."""
    most: Counter[str] = Counter()
    for group in cluster.get("workerGroupSpecs", []):
        limits = group["template"]["spec"]["containers"][0].get("resources", {}).get("limits", {})
        for kind in ("cpu", "nvidia.com/gpu"):
            most[kind] += int(amount(limits.get(kind, 0)) * group["maxReplicas"])
    return most


def one_cluster(all_: Manifests) -> Iterator[str]:
    """The jobs run on what the RayCluster says, but for its sleep."""
    for cluster in all_.of("RayCluster"):
        wanted = {key: value for key, value in cluster["spec"].items() if key != "suspend"}
        for job in all_.of("RayJob"):
            if job["spec"].get("rayClusterSpec") != wanted:
                yield f"{name_of(job)}: its cluster is not {name_of(cluster)}"


def asleep(all_: Manifests) -> Iterator[str]:
    """Applying starts one job and nothing else."""
    awake = [name_of(t) for t in all_.of("RayJob", "RayCluster", "CronJob") if t["spec"].get("suspend") is not True]
    if awake != ["RayJob colorize"]:
        yield f"awake: {awake}"
    for cron in all_.of("CronJob"):
        if cron["spec"].get("concurrencyPolicy") != "Forbid" or "timeZone" not in cron["spec"]:
            yield f"{name_of(cron)}: nights may overlap, or begin in the zone of who knows which machine"
    for job in all_.of("RayJob"):
        if not {"activeDeadlineSeconds", "preRunningDeadlineSeconds", "ttlSecondsAfterFinished"} <= job["spec"].keys():
            yield f"{name_of(job)}: may wait, run or stay for ever"


RULES = (
    names, one_namespace, jobs, clusters, heads, spot, draining, restricted, resources, one_image, no_credentials,
    network, monitors, references, kueue, entrypoints, one_cluster, asleep,
)  # fmt: skip


def rule_problems(objects: list[Object], ray_version: str) -> Iterator[str]:
    all_ = Manifests(objects, ray_version)
    for rule in RULES:
        yield from rule(all_)


def problems(objects: list[Object], ray_version: str, definitions: Path | None) -> Iterator[str]:
    """All that is wrong. The rules come last: they may stumble over what the schemas refuse."""
    yield from schema_problems(objects, definitions)
    yield from rule_problems(objects, ray_version)
