"""Images, compose file, manifests and policies, held against the schemas and linters of their makers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.lock import locked
from oldphoto_core.errors import OldPhotoError

INFRA = Path(__file__).parents[2] / "infra"
BIN = Path(sys.executable).parent
COMPOSE: dict[str, Any] = yaml.safe_load((INFRA / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
MANIFESTS = [each for each in yaml.safe_load_all((INFRA / "kubernetes/oldphoto.yaml").read_text()) if each]
TEMPLATE = json.loads((INFRA / "kubernetes/base-job-template.json").read_text())
WORKER_POLICY = json.loads((INFRA / "aws/worker-policy.json").read_text())
KUBERNETES = "1.31"


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    ended = subprocess.run([BIN / "hadolint", INFRA / "docker/Dockerfile"], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")


def test_the_image_runs_as_nobody_in_particular_from_a_pinned_base() -> None:
    lines = (INFRA / "docker/Dockerfile").read_text().splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM")]
    assert bases == ["${PYTHON_IMAGE}"] * 2, "a build names it by its digest; infra/pin-images finds that"
    (base,) = [line.removeprefix("ARG PYTHON_IMAGE=") for line in lines if line.startswith("ARG PYTHON_IMAGE=")]
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", base)
    assert not lines[0].startswith("# syntax="), "what reads this file is Docker's own, and no image that a tag names"
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001"]
    assert any(line.startswith("HEALTHCHECK") for line in lines)


@pytest.mark.parametrize("script", ["make-secrets", "docker/buckets.sh", "docker/entrypoint"])
def test_a_script_is_one_that_sh_can_read(script: str) -> None:
    assert subprocess.run(["sh", "-n", INFRA / script], check=False).returncode == 0


def test_secrets_are_made_once_and_kept(tmp_path: Path) -> None:
    shutil.copy(INFRA / "make-secrets", tmp_path)
    seen = []
    for _ in range(2):
        subprocess.run(["sh", tmp_path / "make-secrets"], check=True)
        seen.append({path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()})
    assert seen[0] == seen[1]
    assert {f"secrets/{name}" for name in seen[0]} == {each["file"] for each in COMPOSE["secrets"].values()}
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
    assert len(set(seen[0].values())) == len(seen[0])


def test_docker_compose_takes_the_file() -> None:
    """What `docker compose` itself says, where there is one; the tests below need none."""
    compose = ["docker", "compose"]
    if not shutil.which("docker") or subprocess.run([*compose, "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed here")
    command = [*compose, "-f", str(INFRA / "compose.yaml"), "--profile", "cpu", "--profile", "gpu", "config", "--quiet"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_compose_publishes_on_loopback_alone() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_compose_names_what_it_uses() -> None:
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", ())) <= SERVICES.keys(), name
        assert set(service.get("secrets", ())) <= COMPOSE["secrets"].keys(), name
        volumes = {volume.split(":")[0] for volume in service.get("volumes", ()) if volume[0] not in "./"}
        assert volumes <= COMPOSE["volumes"].keys(), name
        assert re.search(r":(cpu|cuda|[\w.-]*\d[\w.-]*)}?$", service["image"]), f"{name}: the image is not pinned"


def test_services_that_others_wait_for_say_how_they_are() -> None:
    waited = {
        other: how["condition"] for service in SERVICES.values() for other, how in service.get("depends_on", {}).items()
    }
    healthy = [name for name, condition in waited.items() if condition == "service_healthy"]
    assert healthy
    assert [name for name in healthy if "test" not in SERVICES[name]["healthcheck"]] == []


def test_the_gpu_worker_reserves_a_gpu_and_is_asked_for_by_name() -> None:
    gpu = SERVICES["worker-gpu"]
    assert gpu["profiles"] == ["gpu"]
    assert gpu["deploy"]["resources"]["reservations"]["devices"] == [
        {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    ]


def test_no_environment_holds_a_secret() -> None:
    for name, service in SERVICES.items():
        for variable in service.get("environment", {}):
            secret = re.search(r"PASSWORD|SECRET|TOKEN|ACCESS_KEY|AUTH", variable)
            assert not secret or variable.endswith("_FILE"), (name, variable)


def test_a_container_has_its_secrets_in_its_environment_and_in_no_argument(tmp_path: Path) -> None:
    (tmp_path / "prefect-auth").write_text("oldphoto:planted\n")
    command = ["sh", str(INFRA / "docker/entrypoint"), sys.executable, "-c", SEEN_BY_A_PROCESS]
    environment = {**os.environ, "OLDPHOTO_SECRETS": str(tmp_path)}
    seen = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    assert seen["environment"]["PREFECT_API_AUTH_STRING"] == "oldphoto:planted"
    assert seen["environment"]["PREFECT_SERVER_API_AUTH_STRING"] == "oldphoto:planted"
    assert "PREFECT_SERVER_DATABASE_PASSWORD" not in seen["environment"]
    assert "planted" not in seen["arguments"]


def test_images_are_pinned_by_the_digests_that_the_registry_has(tmp_path: Path) -> None:
    """`docker` is stood in for by a script: what it is asked, and what becomes of its answers."""
    shutil.copy(INFRA / "pin-images", tmp_path)
    digest = f"sha256:{'0' * 64}"
    (tmp_path / "docker").write_text(f"#!/bin/sh\necho {digest}\n")
    (tmp_path / "docker").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", tmp_path / "pin-images"], env=environment, check=True)
    pinned = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines())
    used = (INFRA / "compose.yaml").read_text()
    by_tag = dict(re.findall(r"\$\{(\w+_IMAGE):-([^}]+)\}", used))
    assert pinned == {name: f"{tag}@{digest}" for name, tag in by_tag.items()}


def test_no_package_is_looked_for_in_two_indexes_at_once() -> None:
    """With an extra index, whoever has a name there with a higher version is installed."""
    commands = [line for line in (INFRA / "docker/Dockerfile").read_text().splitlines() if not line.startswith("#")]
    assert "extra-index-url" not in " ".join(commands)


def test_a_lock_has_the_hash_of_every_file() -> None:
    def file(name: str, **information: Any) -> dict[str, Any]:
        return {"metadata": {"name": name, "version": "1.0"}, "download_info": information}

    hashed = file("b", archive_info={"hashes": {"sha256": "abc"}})
    assert locked({"install": [hashed, file("oldphoto", dir_info={"editable": True})]}) == ["b==1.0 --hash=sha256:abc"]
    with pytest.raises(OldPhotoError, match=r"no SHA-256 of c 1\.0"):
        locked({"install": [file("c", archive_info={})]})


def test_the_stores_passwords_are_arguments_of_no_command(tmp_path: Path) -> None:
    """`mc` of MinIO is stood in for by a script that writes down its arguments and its input."""
    for name in ("bin", "secrets"):
        (tmp_path / name).mkdir()
    (tmp_path / "bin/mc").write_text(f'#!/bin/sh\n{{ echo "$MC_HOST_store: $*"; cat; }} >>{tmp_path}/seen\n')
    (tmp_path / "bin/mc").chmod(0o755)
    (tmp_path / "secrets/store-root-password").write_text("of-the-root")
    account = "[default]\naws_access_key_id = worker\naws_secret_access_key = of-the-worker\n"
    (tmp_path / "secrets/store-credentials").write_text(account)
    environment = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "OLDPHOTO_SECRETS": str(tmp_path / "secrets")}
    command = ["sh", str(INFRA / "docker/buckets.sh")]
    subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=True)
    seen = (tmp_path / "seen").read_text().splitlines()
    arguments = [line.partition("store:9000: ")[2] for line in seen if "store:9000: " in line]
    assert "admin user add store worker" in arguments
    assert "of-the-worker" in seen, "the secret comes over stdin"
    assert not [line for line in arguments if "of-the" in line]


SEEN_BY_A_PROCESS = """
import json, os, pathlib
arguments = pathlib.Path('/proc/self/cmdline').read_text()
print(json.dumps({'environment': dict(os.environ), 'arguments': arguments}))
"""


def test_prefects_api_asks_for_a_secret_and_everybody_who_needs_it_has_it() -> None:
    using = [name for name, service in SERVICES.items() if "PREFECT_API_URL" in service.get("environment", {})]
    assert len(using) >= 4
    for name in ("server", *using):
        assert "prefect-auth" in SERVICES[name]["secrets"], name
    origins = SERVICES["server"]["environment"]["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"]
    assert set(origins.split(",")) == {"http://127.0.0.1:4200", "http://localhost:4200"}


def test_pods_that_speak_with_prefect_get_its_secret_by_reference() -> None:
    wanted = {"secretKeyRef": {"name": "oldphoto-prefect", "key": "auth-string"}}
    for pod in pods():
        for container in pod["containers"]:
            given = {each["name"]: each for each in container["env"]}
            side = {"server": "PREFECT_SERVER_API_AUTH_STRING"}.get(container["name"], "PREFECT_API_AUTH_STRING")
            if container["name"] != "prefect-job":  # Prefect's worker puts it into jobs, by the two names below
                assert given[side]["valueFrom"] == wanted, container["name"]
    (worker,) = [each for pod in pods() for each in pod["containers"] if "kubernetes" in each["args"]]
    given = {each["name"]: each.get("value") for each in worker["env"]}
    prefix = "PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_AUTH_STRING_SECRET"
    assert (given[f"{prefix}_NAME"], given[f"{prefix}_KEY"]) == ("oldphoto-prefect", "auth-string")


def test_pods_are_reached_by_those_alone_who_need_them() -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in MANIFESTS if each["kind"] == "NetworkPolicy"}
    assert policies["nobody"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    (rule,) = policies["prefect-server"]["ingress"]
    (peer,) = rule["from"]
    (wanted,) = peer["podSelector"]["matchExpressions"]
    templates = [each["spec"]["template"] for each in [*MANIFESTS, job()] if each["kind"] in ("Deployment", "Job")]
    assert set(wanted["values"]) == {each["metadata"]["labels"]["app"] for each in templates} - {"prefect-server"}


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda each: f"{each['kind']} {each['metadata']['name']}")
def test_a_manifest_is_what_kubernetes_takes(manifest: dict[str, Any]) -> None:
    import kubernetes_validate

    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def pods() -> list[dict[str, Any]]:
    return [each["spec"]["template"]["spec"] for each in [*MANIFESTS, job()] if each["kind"] in ("Deployment", "Job")]


def job(**variables: Any) -> dict[str, Any]:
    """The job that a worker makes of the template."""
    from prefect.utilities.templating import apply_values

    properties = TEMPLATE["variables"]["properties"]
    defaults = {name: each["default"] for name, each in properties.items() if "default" in each}
    # what Prefect fills in for every run
    given = {"name": "run", "labels": {}, "command": ["prefect", "flow-run", "execute"], **defaults, **variables}
    manifest: dict[str, Any] = apply_values(TEMPLATE["job_configuration"]["job_manifest"], given)
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": name, "value": value} for name, value in container["env"].items()]
    return manifest


def test_the_job_of_a_run_is_what_kubernetes_takes() -> None:
    import kubernetes_validate

    kubernetes_validate.validate(job(), KUBERNETES, strict=True)
    container = job(gpus=2)["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 2
    assert container["envFrom"] == [{"secretRef": {"name": "oldphoto-store"}}]
    assert job(node_selector={"a": "b"})["spec"]["template"]["spec"]["nodeSelector"] == {"a": "b"}


def test_the_template_has_every_variable_of_prefects_own_and_names_those_it_uses() -> None:
    import prefect
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.utilities.templating import find_placeholders

    WorkPoolCreate(name="oldphoto", type="kubernetes", base_job_template=TEMPLATE)
    views = Path(prefect.__file__).parent / "server/api/collections_data/views/aggregate-worker-metadata.json"
    theirs = json.loads(views.read_text())["prefect-kubernetes"]["kubernetes"]["default_base_job_configuration"]
    properties = TEMPLATE["variables"]["properties"]
    assert theirs["variables"]["properties"].keys() <= properties.keys()
    assert theirs["job_configuration"].keys() == TEMPLATE["job_configuration"].keys()
    assert {each.name for each in find_placeholders(TEMPLATE["job_configuration"])} <= properties.keys()
    for name, each in properties.items():
        if each.get("type") == "integer" and "default" in each:
            assert isinstance(each["default"], int), name


def test_no_pod_has_more_rights_than_it_needs() -> None:
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod.get("serviceAccountName") == "oldphoto-worker" or pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"]
            assert not context["allowPrivilegeEscalation"]
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"].keys() >= {"cpu", "memory"}
    (role,) = [each for each in MANIFESTS if each["kind"] == "Role"]
    assert "secrets" not in {resource for rule in role["rules"] for resource in rule["resources"]}
    assert "Secret" not in {each["kind"] for each in MANIFESTS}


def allows(policy: dict[str, Any], action: str, resource: str, prefix: str | None = None) -> bool:
    """What IAM decides, for policies of this shape: Allow alone, and StringLike on s3:prefix as the only condition."""
    for statement in policy["Statement"]:
        assert statement.keys() <= {"Sid", "Effect", "Action", "Resource", "Condition"}
        assert statement["Effect"] == "Allow"
        condition = statement.get("Condition", {"StringLike": {"s3:prefix": None}})
        assert list(condition) == ["StringLike"]
        wanted = condition["StringLike"]["s3:prefix"]
        fits = wanted is None or (prefix is not None and any(fnmatchcase(prefix, each) for each in wanted))
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        if fits and action in actions and fnmatchcase(resource, statement["Resource"]):
            return True
    return False


SOURCE, TARGET = "arn:aws:s3:::archive", "arn:aws:s3:::access"


@pytest.mark.parametrize(
    ("action", "resource", "prefix"),
    [
        ("s3:ListBucket", SOURCE, "scans/"),
        ("s3:GetObject", f"{SOURCE}/scans/album/1.tif", None),
        ("s3:ListBucket", TARGET, "restored/photos/"),
        ("s3:GetObject", f"{TARGET}/restored/records/1.tif.json", None),
        ("s3:PutObject", f"{TARGET}/restored/photos/1.tif", None),
        ("s3:DeleteObject", f"{TARGET}/restored/.oldphoto-tmp-probe-1", None),
        ("s3:AbortMultipartUpload", f"{TARGET}/restored/photos/1.tif", None),
        ("s3:ListBucketMultipartUploads", TARGET, None),
    ],
)
def test_a_worker_may_do_its_work(action: str, resource: str, prefix: str | None) -> None:
    assert allows(WORKER_POLICY, action, resource, prefix)


@pytest.mark.parametrize(
    ("action", "resource", "prefix"),
    [
        *[(f"s3:{verb}", f"{SOURCE}/scans/1.tif", None) for verb in ("PutObject", "DeleteObject", "PutObjectAcl")],
        ("s3:ListBucket", SOURCE, ""),
        ("s3:ListBucket", SOURCE, None),
        ("s3:ListBucket", SOURCE, "letters/"),
        ("s3:GetObject", f"{SOURCE}/letters/1.tif", None),
        ("s3:ListBucket", TARGET, ""),
        ("s3:GetObject", f"{TARGET}/restored-of-others/1.tif", None),
        ("s3:PutObject", f"{TARGET}/1.tif", None),
        ("s3:PutBucketPolicy", TARGET, None),
        ("s3:GetObject", "arn:aws:s3:::another/scans/1.tif", None),
    ],
)
def test_a_worker_may_do_nothing_else(action: str, resource: str, prefix: str | None) -> None:
    assert not allows(WORKER_POLICY, action, resource, prefix)


def test_policies_name_every_action() -> None:
    for path in (INFRA / "aws").glob("*-policy.json"):
        for statement in json.loads(path.read_text())["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            assert not [action for action in actions if "*" in action], path.name
            assert statement["Resource"] != "*", path.name


def test_cloudformation_takes_the_template() -> None:
    command = [BIN / "cfn-lint", INFRA / "aws/arrivals.yaml"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")


def test_accounts_in_examples_are_the_documented_one() -> None:
    files = [path for path in INFRA.rglob("*") if path.is_file() and path.suffix in (".json", ".yaml", ".md", ".py")]
    numbers = {number for path in files for number in re.findall(r"\b\d{12}\b", path.read_text())}
    assert numbers <= {"123456789012"}
