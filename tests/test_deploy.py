"""deploy/: the image, the stack on one machine, rules, alerts and dashboard."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from docker.utils.build import exclude_paths
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import colorize_core

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
MONITORING = DEPLOY / "monitoring"

# The metrics a job exports: those of its driver, and those of its workers.
DRIVER = {
    "autochrome_job_allowed_failures",
    "autochrome_job_already_done_scans",
    "autochrome_job_cost_per_thousand_scans",
    "autochrome_job_done_scans",
    "autochrome_job_errors",
    "autochrome_job_eta_seconds",
    "autochrome_job_info",
    "autochrome_job_photos",
    "autochrome_job_planned_scans",
    "autochrome_job_progress_timestamp_seconds",
    "autochrome_job_scans_per_second",
    "autochrome_job_started_timestamp_seconds",
    "autochrome_job_state",
    "autochrome_job_workers",
}
WORKERS = {
    "ray_autochrome_photos_total",
    "ray_autochrome_pixels_total",
    "ray_autochrome_read_bytes_total",
    "ray_autochrome_stage_seconds_bucket",
    "ray_autochrome_written_bytes_total",
}
RAY = {  # as Ray 2.60 exports them
    "ray_cluster_active_nodes",
    "ray_cluster_pending_nodes",
    "ray_node_cpu_utilization",
    "ray_node_disk_utilization_percentage",
    "ray_node_gpus_utilization",
    "ray_node_gram_used",
    "ray_node_mem_total",
    "ray_node_mem_used",
    "ray_object_store_available_memory",
    "ray_object_store_memory",
    "ray_object_store_used_memory",
    "ray_resources",
}


def tool(name: str) -> str:
    """Where a command is, in this environment or on this machine; skips the test without it."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    return found or pytest.skip(f"{name} is not installed")


def run(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool(name), *map(str, arguments)], capture_output=True, text=True, timeout=60)


def load(path: Path) -> dict:
    return yaml.safe_load(path.read_text())


def rules(kind: str) -> list[dict]:
    return [rule for group in load(MONITORING / "rules.yaml")["groups"] for rule in group["rules"] if kind in rule]


ALERTS = {rule["alert"]: rule for rule in rules("alert")}
RECORDED = {rule["record"] for rule in rules("record")}


# Rules and alerts


def test_prometheus_accepts_rules_and_configuration():
    assert run("promtool", "check", "config", MONITORING / "prometheus.yaml").returncode == 0
    checked = run("promtool", "check", "rules", "--lint-fatal", MONITORING / "rules.yaml")
    assert checked.returncode == 0, checked.stderr


def test_every_rule_passes_its_unit_tests():
    tested = run("promtool", "test", "rules", MONITORING / "rules_test.yaml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("expression", ["vector(1)", "vector(1) > 2"], ids=["always", "never"])
def test_the_unit_tests_notice_every_alert_that_fires_always_or_never(expression: str, tmp_path: Path):
    shutil.copy(MONITORING / "rules_test.yaml", tmp_path)
    changed = load(MONITORING / "rules.yaml")
    for group in changed["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                rule["expr"] = expression
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(changed))
    tested = run("promtool", "test", "rules", tmp_path / "rules_test.yaml")
    assert tested.returncode == 1
    assert [alert for alert in ALERTS if alert not in tested.stdout + tested.stderr] == []


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_case_that_fires_and_one_that_does_not(alert: str):
    cases = [
        bool(case["exp_samples"])
        for test in load(MONITORING / "rules_test.yaml")["tests"]
        for case in test["promql_expr_test"]
        if f'alertname="{alert}"' in case["expr"]
    ]
    assert set(cases) == {True, False}


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_says_what_it_means_and_what_to_do(alert: str):
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert rule["annotations"]["summary"].endswith(".")
    assert len(rule["annotations"]["description"].split()) >= 25
    assert rule["annotations"]["runbook"] == "README.md#alerts"


def test_the_readme_lists_every_alert():
    listed = re.findall(r"^\| `(Autochrome\w+)` \|", (ROOT / "README.md").read_text(), re.M)
    assert listed == list(ALERTS)


def test_kubernetes_gets_the_same_rules():
    assert load(MONITORING / "prometheus-rule.yaml")["spec"] == load(MONITORING / "rules.yaml")


def test_rules_ask_only_for_metrics_that_exist():
    asked = {name for rule in rules("expr") for name in metrics_of(rule["expr"])}
    assert asked <= DRIVER | WORKERS | RAY | RECORDED


def test_kustomize_ships_rules_and_dashboard():
    built = run("kubectl", "kustomize", MONITORING)
    assert built.returncode == 0, built.stderr
    kinds = {resource["kind"]: resource for resource in yaml.safe_load_all(built.stdout)}
    assert kinds.keys() == {"PrometheusRule", "ConfigMap"}
    assert kinds["ConfigMap"]["metadata"] == {"name": "autochrome-dashboard", "labels": {"grafana_dashboard": "1"}}
    assert list(kinds["ConfigMap"]["data"].values()) == [(MONITORING / "dashboard.json").read_text()]


# Dashboard


def panels(dashboard: dict) -> list[dict]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries(dashboard: dict) -> list[str]:
    return [target.get("expr", "") for panel in panels(dashboard) for target in panel.get("targets", [])]


def metrics_of(query: str) -> set[str]:
    """The metrics that a PromQL expression asks for."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]', lambda found: "{}" if found[0][0] == "{" else "", query)
    bare = re.sub(r"\b(by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)
    words = re.findall(r"(?<![\w:.])[a-zA-Z_:][\w:]*(?!\s*\()(?![\w:])", bare)
    return set(words) - {"and", "or", "unless", "offset", "bool"} - set(re.findall(r"[\w:]+(?=\s*\()", bare))


def dashboard_faults(dashboard: dict) -> Iterator[str]:
    """What keeps the page from being shown as it is meant."""
    ids = [panel["id"] for panel in dashboard["panels"]]
    if len(ids) != len(set(ids)):
        yield "two panels have one id"
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        if at["x"] + at["w"] > 24:
            yield f"{panel['title']} is wider than the page"
        for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
            if cell in taken:
                yield f"{panel['title']} lies over {taken[cell]}"
                break
            taken[cell] = panel["title"]
    for panel in panels(dashboard):
        if not panel.get("description"):
            yield f"{panel['title']} does not say what it shows"
        if not panel["fieldConfig"]["defaults"].get("unit"):
            yield f"{panel['title']} has no unit"
        for part in [panel, *panel.get("targets", [])]:
            if part["datasource"] != {"type": "prometheus", "uid": "${datasource}"}:
                yield f"{panel['title']} names a data source of its own"
        if not panel.get("targets") or not all(target.get("expr") for target in panel["targets"]):
            yield f"{panel['title']} asks nothing"
    names = {variable["name"] for variable in dashboard["templating"]["list"]}
    for query in queries(dashboard):
        if unknown := metrics_of(query) - DRIVER - WORKERS - RAY - RECORDED - {"ALERTS"}:
            yield f"no such metric: {', '.join(sorted(unknown))}"
        if undefined := set(re.findall(r"\$\{?(\w+)", query)) - names:
            yield f"no such variable: {', '.join(sorted(undefined))}"
        if 'ray_io_cluster=~"$cluster"' not in query:
            yield f"not of the chosen cluster: {query}"


DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())


def test_the_dashboard_can_be_shown():
    assert list(dashboard_faults(DASHBOARD)) == []


def test_prometheus_accepts_every_query_of_the_dashboard(tmp_path: Path):
    assert check_queries(queries(DASHBOARD), tmp_path).returncode == 0
    assert check_queries([*queries(DASHBOARD), "sum(ray_resources"], tmp_path).returncode == 1


def check_queries(asked: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """promtool's opinion of queries, with every variable set to All."""
    recorded = [{"record": f"query:{n}", "expr": re.sub(r"\$\w+", ".*", query)} for n, query in enumerate(asked)]
    (folder / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
    return run("promtool", "check", "rules", folder / "queries.yaml")


DASHBOARD_MISTAKES: dict[str, Callable[[list[dict]], object]] = {
    "two panels have one id": lambda shown: shown[1].update(id=shown[0]["id"]),
    "lies over": lambda shown: shown[1]["gridPos"].update(shown[0]["gridPos"]),
    "wider than the page": lambda shown: shown[0]["gridPos"].update(w=25),
    "does not say": lambda shown: shown[0].pop("description"),
    "has no unit": lambda shown: shown[0]["fieldConfig"]["defaults"].pop("unit"),
    "data source of its own": lambda shown: shown[0].update(datasource={"type": "prometheus", "uid": "P1809"}),
    "asks nothing": lambda shown: shown[0]["targets"][0].update(expr=""),
    "no such metric: ray_invented": lambda shown: shown[0]["targets"][0].update(expr="sum(rate(ray_invented[5m]))"),
    "no such variable: node": lambda shown: shown[0]["targets"][0].update(expr='ray_resources{ip="$node"}'),
    "not of the chosen cluster": lambda shown: shown[0]["targets"][0].update(expr="sum(ray_resources)"),
}


@pytest.mark.parametrize("fault", DASHBOARD_MISTAKES)
def test_a_mistake_in_the_dashboard_is_found(fault: str):
    changed = copy.deepcopy(DASHBOARD)
    DASHBOARD_MISTAKES[fault](panels(changed))
    assert any(fault in found for found in dashboard_faults(changed))


# Image


def instructions(dockerfile: str) -> list[list[str]]:
    """Every instruction as a list of words, continued lines joined."""
    joined = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", dockerfile))
    return [line.split() for line in joined.splitlines() if line.strip()]


def copied(dockerfile: str) -> list[str]:
    """What the image takes from the checkout."""
    return [
        source
        for words in instructions(dockerfile)
        if words[0] == "COPY" and not words[1].startswith("--from")
        for source in words[1:-1]
    ]


def context() -> set[str]:
    """Every path that the image builder is given."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return set(exclude_paths(str(ROOT), [line for line in lines if line and not line.startswith("#")]))


DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def test_hadolint_has_nothing_to_say(tmp_path: Path):
    linted = run("hadolint", DEPLOY / "Dockerfile")
    assert linted.returncode == 0, linted.stdout
    (tmp_path / "Dockerfile").write_text("FROM python:latest\nRUN pip install ray\n")
    assert run("hadolint", tmp_path / "Dockerfile").returncode == 1


def test_every_rule_that_hadolint_is_told_to_ignore_has_a_reason_above_it():
    lines = DOCKERFILE.splitlines()
    told = [number for number, line in enumerate(lines) if "hadolint ignore" in line]
    assert told and all(re.match(r"# .{20,}", lines[number - 1]) for number in told)


def test_everything_the_image_copies_reaches_the_builder_and_nothing_else_does():
    given, wanted = context(), copied(DOCKERFILE)
    assert [source for source in wanted if source not in given] == []
    strangers = [path for path in given if not any(path == name or path.startswith(f"{name}/") for name in wanted)]
    assert set(strangers) <= {"deploy", ".dockerignore", "deploy/Dockerfile"}
    assert not [path for path in given if path.endswith(".pyc")]


def test_the_weights_are_in_the_image():
    assert "colorize_core/weights/autochrome.safetensors" in context()


def test_the_image_runs_as_an_ordinary_user():
    last = [words[1] for words in instructions(DOCKERFILE) if words[0] == "USER"][-1]
    assert last == "1000:1000"
    assert not any(words[0] == "ENTRYPOINT" for words in instructions(DOCKERFILE))


# Versions


PYPROJECT = metadata.metadata("autochrome-archive")


def pins(text: str) -> dict[str, Version]:
    """The one version that each package is held to."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    held = [re.fullmatch(r"([a-z0-9-]+)==([\w.]+)", line) for line in lines]
    assert all(held), [line for line, pin in zip(lines, held, strict=True) if not pin]
    names = [pin[1] for pin in held if pin]
    assert names == sorted(set(names)), "sorted, each package once"
    return {pin[1]: Version(pin[2]) for pin in held if pin}


def pin_faults(held: dict[str, Version]) -> Iterator[str]:
    """Packages that `.[onnx,train]` and `ray[default]` lead to and that are not held, or held where another forbids it.

    A package is followed only where the version held is the one installed: another's requirements are not known here.
    """
    queue, seen = [Requirement("autochrome-archive[onnx,train]"), Requirement("ray[default]")], set()
    while queue:
        wanted = queue.pop()
        name = canonicalize_name(wanted.name)
        if name != "autochrome-archive":
            if name not in held:
                yield f"{name} is not held"
                continue
            if not wanted.specifier.contains(held[name], prereleases=True):
                yield f"{name} {held[name]} is not {wanted.specifier}"
            if Version(metadata.version(name)).public != str(held[name]):
                continue
        for extra in ["", *wanted.extras]:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for line in metadata.requires(name) or []:
                needed = Requirement(line)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    queue.append(needed)


PINS = pins((DEPLOY / "constraints.txt").read_text())


def test_every_package_of_the_image_is_held_at_a_version_that_all_others_accept():
    assert list(pin_faults(PINS)) == []


@pytest.mark.parametrize(
    ("name", "version", "fault"),
    [
        ("ray", "2.61.0", "ray 2.61.0 is not ==2.60.*"),
        ("torch", "2.14.0", "torch 2.14.0 is not <2.14,>=2.6"),
        ("s3fs", None, "s3fs is not held"),
        ("prometheus-client", None, "prometheus-client is not held"),
    ],
)
def test_a_wrong_or_missing_pin_is_found(name: str, version: str | None, fault: str):
    changed = {**PINS, name: Version(version or "0")}
    if not version:
        del changed[name]
    assert fault in list(pin_faults(changed))


def test_the_pins_for_nvidia_are_well_formed_and_of_other_packages():
    assert not pins((DEPLOY / "constraints-cuda.txt").read_text()).keys() & PINS.keys()


def test_python_ray_and_the_project_have_one_version_everywhere():
    python = re.search(r"^FROM python:([\d.]+)-slim-bookworm AS python$", DOCKERFILE, re.M)
    assert python and Requirement(f"python{PYPROJECT['Requires-Python']}").specifier.contains(python[1])
    assert f'base.name="docker.io/library/python:{python[1]}-slim-bookworm"' in DOCKERFILE
    assert set(re.findall(r"python:(3[\d.]+)", DOCKERFILE)) == {python[1]}
    assert re.findall(r"lib/python([\d.]+)/", DOCKERFILE) == [".".join(python[1].split(".")[:2])]
    assert f'image.version="{colorize_core.__version__}"' in DOCKERFILE
    tag = f"autochrome:{colorize_core.__version__}-ray{PINS['ray']}"
    assert set(re.findall(r"autochrome:[\w.-]+", DOCKERFILE)) == {f"{tag}-cpu", f"{tag}-cuda"}
    assert COMPOSE["x-autochrome"]["image"] == f"{tag}-cpu"


# Stack on one machine


COMPOSE = load(DEPLOY / "compose.yaml")
SECRETS = re.compile(r"KEY|SECRET|TOKEN|PASSWORD")


def compose_faults(compose: dict) -> Iterator[str]:
    """What would open the stack to others, or keep it from starting."""
    services, volumes = compose["services"], compose["volumes"]
    for name, service in services.items():
        for port in service.get("ports", []):
            if not str(port).startswith("127.0.0.1:"):
                yield f"{name} publishes {port} beyond this machine"
        for variable, value in service.get("environment", {}).items():
            if SECRETS.search(variable) and not re.match(r"\$\{\w+:\?[^}]+\}$", value):
                yield f"{name} has a value for {variable}"
        if not re.search(r":v?\d+\.\d+", service["image"]):
            yield f"{name} runs whatever {service['image']} is that day"
        for volume in service.get("volumes", []):
            source, *_, mode = volume.split(":")
            if source.startswith("."):
                if not (DEPLOY / source).is_file():
                    yield f"{name} mounts {source}, which is not there"
                if mode != "ro":
                    yield f"{name} may write to {source}"
            elif source not in volumes:
                yield f"{name} mounts {source}, which is no volume"
        for other, how in service.get("depends_on", {}).items():
            if other not in services:
                yield f"{name} waits for {other}, which is no service"
            elif how["condition"] == "service_healthy" and "healthcheck" not in services[other]:
                yield f"{name} waits for the health of {other}, which has no check"
        if not {"cpus", "memory"} <= service.get("deploy", {}).get("resources", {}).get("limits", {}).keys():
            yield f"{name} may use all of the machine"
        if "no-new-privileges:true" not in service.get("security_opt", []) or service.get("privileged"):
            yield f"{name} may gain privileges"


def test_the_stack_is_closed_and_complete():
    assert list(compose_faults(COMPOSE)) == []


COMPOSE_MISTAKES: dict[str, Callable[[dict], object]] = {
    "beyond this machine": lambda services: services["grafana"].update(ports=["3000:3000"]),
    "has a value for": lambda services: services["grafana"]["environment"].update(GF_SECURITY_ADMIN_PASSWORD="admin"),
    "has a value for RAY_AUTH_TOKEN": lambda services: services["head"]["environment"].update(
        RAY_AUTH_TOKEN="${RAY_AUTH_TOKEN:-00}"
    ),
    "that day": lambda services: services["store"].update(image="chrislusf/seaweedfs:latest"),
    "which is not there": lambda services: services["prometheus"].update(volumes=["./prometheus.yml:/etc/p.yaml:ro"]),
    "may write to": lambda services: services["prometheus"].update(volumes=["./monitoring/rules.yaml:/etc/r.yaml"]),
    "which is no volume": lambda services: services["store"].update(volumes=["data:/data"]),
    "which is no service": lambda services: services["head"]["depends_on"].update(
        minio={"condition": "service_healthy"}
    ),
    "which has no check": lambda services: services["worker"]["depends_on"].update(
        bucket={"condition": "service_healthy"}
    ),
    "all of the machine": lambda services: services["worker"].pop("deploy"),
    "gain privileges": lambda services: services["worker"].pop("security_opt"),
}


@pytest.mark.parametrize("fault", COMPOSE_MISTAKES)
def test_a_mistake_in_the_stack_is_found(fault: str):
    changed = copy.deepcopy(COMPOSE)
    COMPOSE_MISTAKES[fault](changed["services"])
    assert any(fault in found for found in compose_faults(changed))


def test_the_stack_follows_the_compose_specification(tmp_path: Path):
    check = ["--builtin-schema", "vendor.compose-spec"]
    checked = run("check-jsonschema", *check, DEPLOY / "compose.yaml")
    assert checked.returncode == 0, checked.stdout
    (tmp_path / "compose.yaml").write_text((DEPLOY / "compose.yaml").read_text().replace("depends_on:", "dependson:"))
    assert run("check-jsonschema", *check, tmp_path / "compose.yaml").returncode == 1


def test_the_secrets_asked_for_are_those_the_first_command_makes():
    text, example = (DEPLOY / "compose.yaml").read_text(), (DEPLOY / ".env.example").read_text()
    asked = set(re.findall(r"\$\{(\w+):\?", text))
    command = r"\(umask 077; for name in ([\w ]+); do .* > deploy/\.env\)"
    made = [re.search(command, part) for part in (text, example)]
    assert made[0] and made[1] and made[0][0] == made[1][0]
    assert set(made[0][1].split()) == asked == set(re.findall(r"(?m)^(\w+)=$", example))
    assert re.findall(r"(?m)^\w+=.+$", example) == []


def test_the_first_command_makes_secrets_that_only_their_owner_can_read(tmp_path: Path):
    (tmp_path / "deploy").mkdir()
    command = re.search(r"\(umask 077.*\)", (DEPLOY / ".env.example").read_text())
    assert command
    subprocess.run(["bash", "-c", command[0]], cwd=tmp_path, check=True)
    made = tmp_path / "deploy/.env"
    assert made.stat().st_mode & 0o077 == 0
    values = [line.split("=")[1] for line in made.read_text().splitlines()]
    assert len(set(values)) == 4 and all(re.fullmatch(r"[0-9a-f]{64}", value) for value in values)


def test_prometheus_and_grafana_look_where_the_services_are():
    services = COMPOSE["services"]
    ray, job = load(MONITORING / "prometheus.yaml")["scrape_configs"]
    (found,) = ray["dns_sd_configs"]
    assert all(f"--metrics-export-port={found['port']}" in services[name]["command"] for name in found["names"])
    assert (
        job["static_configs"] == [{"targets": ["head:9108"]}] and "0.0.0.0:9108" in services["colorize"]["entrypoint"]
    )
    (source,) = load(MONITORING / "grafana/datasource.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090" and source["isDefault"]
    (provider,) = load(MONITORING / "grafana/dashboards.yaml")["providers"]
    assert any(f"{provider['options']['path']}/autochrome.json" in volume for volume in services["grafana"]["volumes"])
