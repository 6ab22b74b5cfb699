"""The zip that all functions run from."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sharr.loader import load_all
from sharr.standards import load_standards
from stacks import package
from stacks.package import ROOT

HANDLERS = ("playbook", "outcome", "sweeper", "custom_actions")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> package.Package:
    return package.build(load_all(), load_standards(ROOT), into=tmp_path_factory.mktemp("build"))


def contents(built: package.Package) -> set[str]:
    with zipfile.ZipFile(built.path) as archive:
        return set(archive.namelist())


def test_equal_sources_give_equal_bytes(built: package.Package, tmp_path: Path) -> None:
    again = package.build(load_all(), load_standards(ROOT), into=tmp_path)

    assert again.built
    assert again.path.name == built.path.name
    assert again.path.read_bytes() == built.path.read_bytes()


def test_what_was_built_is_not_built_again(built: package.Package) -> None:
    again = package.build(load_all(), load_standards(ROOT), into=built.path.parent)

    assert (again.path, again.built) == (built.path, False)


def test_a_changed_script_gives_another_zip(built: package.Package, tmp_path: Path) -> None:
    without_one = load_all()[1:]

    assert package.build(without_one, load_standards(ROOT), into=tmp_path).path.name != built.path.name


def test_zip_has_handlers_scripts_and_catalogue_and_nothing_of_the_build(built: package.Package) -> None:
    names = contents(built)

    assert {f"lambdas/{name}/handler.py" for name in HANDLERS} <= names
    assert {f"ssm_documents/{r.id}/script.py" for r in load_all()} <= names
    assert "sharr/data/catalogue.json" in names
    assert "botocore/cacert.pem" in names
    assert not {"sharr/loader.py", "sharr/compose.py"} & names
    assert not [n for n in names if "test_" in n and not n.startswith(tuple(package.LIBRARIES))]
    assert not [n for n in names if n.startswith(("stacks/", "sandbox/", "tests/", "yaml/", "aws_cdk/"))]
    assert not [n for n in names if n.endswith((".so", ".pyc", ".yaml"))]


def test_zip_fits_and_unpacks_within_lambda_s_limits(built: package.Package) -> None:
    with zipfile.ZipFile(built.path) as archive:
        unpacked = sum(info.file_size for info in archive.infolist())

    assert built.path.stat().st_size <= package.ZIP_LIMIT
    assert unpacked <= 250 * 1024 * 1024


def test_zip_has_the_model_of_every_service_that_a_remediation_has_rights_in(built: package.Package) -> None:
    """Prefixes of IAM that are not called like their client."""
    clients = {
        "application-autoscaling": {"application-autoscaling"},
        "elasticfilesystem": {"efs"},
        "elasticloadbalancing": {"elb", "elbv2"},
        "es": {"es", "opensearch"},
        "states": {"stepfunctions"},
        "tag": {"resourcegroupstaggingapi"},
        "access-analyzer": {"accessanalyzer"},
    }
    models = {n.split("/")[2] for n in contents(built) if n.startswith("botocore/data/") and n.count("/") > 2}
    missing = {
        f"{remediation.id}: {permission.action}"
        for remediation in load_all()
        for kind in ("read", "write", "undo")
        for permission in remediation.permissions(kind)
        # A right that no call shows (iam:PassRole) needs no client.
        if permission.because is None
        and not clients.get(service := permission.action.split(":")[0], {service}) & models
    }

    assert missing == set()
    assert {"sts", "dynamodb", "sqs", "sns", "securityhub", "ssm"} <= models


def test_handlers_can_be_imported_from_the_zip_alone(built: package.Package) -> None:
    """In a Python that sees nothing but its standard library and the zip: what is left out is missed here."""
    program = (
        "import sys\n"
        "sys.path[:] = [p for p in sys.path if 'site-packages' not in p and p not in ('', sys.argv[2])]\n"
        "sys.path.insert(0, sys.argv[1])\n"
        f"import importlib\nfor name in {HANDLERS!r}:\n"
        "    importlib.import_module(f'lambdas.{name}.handler')\n"
        "assert sys.modules['botocore'].__file__.startswith(sys.argv[1])\n"
        "import boto3\n"
        "boto3.client('sts', region_name='us-east-1')\n"
    )
    unpacked = built.path.parent / "unpacked"
    with zipfile.ZipFile(built.path) as archive:
        archive.extractall(unpacked)

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(unpacked), str(ROOT)],
        cwd=unpacked,
        env={"POWERTOOLS_SERVICE_NAME": "test", "POWERTOOLS_METRICS_NAMESPACE": "SHARR", "AWS_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(package, "LIBRARIES", {**package.LIBRARIES, "no_such_library": "pip"})

    with pytest.raises(package.CannotPackage, match="no_such_library"):
        package.build(load_all(), load_standards(ROOT), into=tmp_path)


def test_a_compiled_library_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "site" / "compiled_library"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "speedups.so").write_bytes(b"ELF")
    monkeypatch.syspath_prepend(str(folder.parent))
    monkeypatch.setattr(package, "LIBRARIES", {"botocore": "botocore", "compiled_library": "pip"})

    with pytest.raises(package.CannotPackage, match=r"speedups\.so"):
        package.build(load_all(), load_standards(ROOT), into=tmp_path / "build")
