"""What the magics do, with real workers, in a shell without a front end."""

from __future__ import annotations

import io
import re
import threading
from typing import TYPE_CHECKING

import pytest

import pydist

if TYPE_CHECKING:
    from tests.magics.teams import Team

pytestmark = pytest.mark.processes

A, B, C = 2, 3, 4  # the workers; ids are given in order, and each file has fresh ones


@pytest.fixture(autouse=True)
def _same_ids(team: Team) -> None:
    global A, B, C
    A, B, C = pydist.workers()


class TestPlaces:
    @pytest.mark.parametrize(
        ("place", "pids"),
        [
            ("{A}", "A"),
            ("all", "ABC"),
            (":", "1ABC"),
            ("{B}:", "BC"),
            (":{C}", "1AB"),
            ("::2", "AC"),
            ("[{C},{A}]", "CA"),
            ("[{B}]", "[B]"),
            ("pids[1:]", "BC"),
        ],
    )
    def test_a_value_for_each_process_in_the_order_given(self, team: Team, place: str, pids: str) -> None:
        team.shell.user_ns["pids"] = pydist.workers()
        known = {"A": A, "B": B, "C": C, "1": 1}
        wanted = [known[pid] for pid in pids.strip("[]")]
        value = team.value("import pydist\n%fetchfrom " + place.format(**known) + " pydist.myid()")
        assert value == (wanted[0] if pids == "A" else wanted)

    def test_any_takes_the_workers_in_turn(self, team: Team) -> None:
        seen = {team.value("%fetchfrom any pydist.myid()") for _ in range(3)}
        assert seen == {A, B, C}

    def test_a_cell_everywhere_takes_several_places(self, team: Team) -> None:
        team.value(f"%%everywhere {A} {C}:\nhere = pydist.myid()\n")
        assert team.value("%fetchfrom : globals().get('here')") == [None, A, None, C]

    def test_a_cell_on_one_process_has_its_value(self, team: Team) -> None:
        assert team.value(f"%%everywhere {A}\n6 * 7\n") == 42

    @pytest.mark.parametrize("magic", ["%fetchfrom 99 1", "%spawnat 99 1", "%%everywhere 99\n1", "%restart 99"])
    def test_a_process_that_is_not_there_is_named(self, team: Team, magic: str) -> None:
        assert f"no process with id 99 exists; there are 1, {A}, {B}, {C}" in team.mistake(magic)


class TestNames:
    def test_names_of_a_function_around_go_along(self, team: Team) -> None:
        team.value(
            "def outside(x):\n"
            f"    f = %spawnat {A} [x * n for n in range(3)]\n"
            f"    ys = %pmap y + x for y in [1, 2]\n"
            "    zs = %distributed (+) [x * i] for i in range(3)\n"
            "    return f.fetch(), ys, zs\n"
        )
        assert team.value("outside(10)") == ([0, 10, 20], [11, 12], [0, 10, 20])

    def test_a_dollar_inserts_an_object_in_code_and_nowhere_else(self, team: Team) -> None:
        team.value("def insert(limit):\n    %everywhere a, b = $limit, '$limit'  # $limit\n")
        team.value("insert(5)")
        assert team.value("%fetchfrom all (a, b)") == [(5, "$limit")] * 3

    def test_an_expression_may_be_inserted(self, team: Team) -> None:
        team.value("xs = [1, 2]")
        team.value("%%everywhere --workers\ntotal = $(sum(xs)) + len($xs)\n")
        assert team.value("%fetchfrom all total") == [5] * 3

    def test_braces_and_dollars_of_other_magics_are_the_codes_own(self, team: Team) -> None:
        assert team.value("x = 7\n" + f"%fetchfrom {A} {{'a': x}}") == {"a": 7}
        assert team.value(f"%fetchfrom {A} '{{x}} $x'") == "{x} $x"

    def test_await_may_stand_at_the_top(self, team: Team) -> None:
        outcome = team.run("%%everywhere --workers\nimport asyncio\nawait asyncio.sleep(0)\nprint('slept')\n")
        assert outcome.error is None
        assert outcome.stdout.count("slept") == 3


class TestResults:
    def test_an_option_binds_the_result(self, team: Team) -> None:
        assert team.value(f"%%spawnat {A} -o f\nx = 3\nx * x\n") is None
        assert team.value("f.fetch()") == 9
        assert team.value("%%pmap x in range(4) -o ys --batch-size 2\ny = x + 1\ny * y\n") is None
        assert team.value("ys") == [1, 4, 9, 16]

    def test_an_assignment_binds_the_result(self, team: Team) -> None:
        team.value(f"f = %spawnat {A} 1 + 1\nv = %fetch f\nw = %fetchfrom {B} 3")
        assert team.value("(v, w)") == (2, 3)

    def test_fetch_takes_a_name_or_runs_code(self, team: Team) -> None:
        team.value("f = %spawn 5\nn = 8")
        assert team.value("%fetch f") == 5
        assert team.value("%fetch n + 1") == 9
        assert team.value("%fetch n") == 8

    def test_a_list_of_futures_for_several_processes(self, team: Team) -> None:
        futures = team.value("%spawnat all pydist.myid()")
        assert [future.fetch() for future in futures] == [A, B, C]

    def test_remotecall_sends_values_that_are_here(self, team: Team) -> None:
        assert team.value(f"%remotecall pow {A} 2 3 5").fetch() == 3
        assert team.value(f"%remotecall sorted {B} [3, 1, 2] reverse=True").fetch() == [3, 2, 1]
        assert [future.fetch() for future in team.value("%remotecall pydist.myid [A, B]".replace("A, B", f"{A}, {B}"))]

    def test_a_loop_is_reduced_in_order_over_the_workers(self, team: Team) -> None:
        assert team.value("%distributed (+) [i] for i in range(20)") == list(range(20))
        body = "if i % 2:\n    continue\ni * i\n"
        assert team.value("%%distributed (+) for i in range(1000) -o total\n" + body) is None
        assert team.value("total") == sum(i * i for i in range(0, 1000, 2))

    def test_a_loop_without_a_reducer_is_waited_for_by_its_handle(self, team: Team) -> None:
        team.value("marks = pydist.RemoteChannel(lambda: pydist.Channel(100))")
        team.value("%%distributed for i in range(6) -o loop\nmarks.put(i)\n")
        assert team.value("%fetch loop") is None
        assert sorted(team.value("[marks.take() for _ in range(6)]")) == list(range(6))


class TestPmapOptions:
    def test_a_value_or_a_function_in_the_place_of_errors(self, team: Team) -> None:
        assert team.value("%pmap 1 / x for x in [1, 0, 2] --on-error None") == [1.0, None, 0.5]
        assert team.value("%pmap 1 / x for x in [1, 0] --on-error lambda e: type(e).__name__") == [
            1.0,
            "ZeroDivisionError",
        ]

    def test_a_pool_by_ids_or_by_name(self, team: Team) -> None:
        assert set(team.value(f"%pmap pydist.myid() for x in range(6) --pool {B}")) == {B}
        team.value(f"pool = pydist.WorkerPool([{A}, {C}])")
        assert set(team.value("%pmap pydist.myid() for x in range(6) --pool pool")) <= {A, C}

    def test_a_function_with_its_arguments(self, team: Team) -> None:
        assert team.value("%pmap pow [2, 3] [4, 5]") == [16, 243]


class TestFutures:
    def test_futures_are_listed_with_their_names_and_states(self, team: Team) -> None:
        team.value("import gc; gc.collect()")
        team.value(f"good = %spawnat {A} 1\nbad = %spawnat {B} 1 / 0\nwaiting = pydist.Future()\n")
        team.run("good.wait(); bad.wait()")
        text = team.run("shown = %futures\nprint(shown)").stdout
        assert re.search(rf"Future\({A}, 1, \d+\) +good +{A} +done", text)
        assert re.search(rf"bad +{B} +failed: ZeroDivisionError: division by zero", text)
        assert re.search(r"waiting +1 +pending", text)
        assert team.value("all(isinstance(f, pydist.Future) for f in shown)")
        assert "<td>waiting</td>" in team.value("shown._repr_html_()")

    def test_a_future_in_a_list_has_a_name_too(self, team: Team) -> None:
        team.value(f"fs = [pydist.spawnat({A}, abs, -1)]")
        assert "fs[0]" in repr(team.value("%futures"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestTopics:
    def test_versions_group_processes_that_are_alike(self, team: Team) -> None:
        text = repr(team.value("%pydist versions"))
        assert f"processes 1, {A}-{C}" in text or f"processes 1-{C}" in text
        assert "cloudpickle" in text

    def test_config_lists_the_settings(self, team: Team) -> None:
        assert re.search(r"output_limit +1000000 +default", repr(team.value("%pydist config")))

    def test_wait_waits_for_all_calls(self, team: Team) -> None:
        gate = threading.Event()
        team.shell.user_ns.update(gate=gate, far_gate=pydist.RemoteChannel(pid=1))
        team.value(f"f = pydist.spawnat({A}, far_gate.take)\ng = pydist.spawnat(1, gate.wait)")
        outcome = team.run("%pydist wait 0.01")
        assert str(outcome.error) == f"after 0.01 seconds a call is still going on on worker {A}"
        gate.set()
        team.value("far_gate.put(True)")
        assert team.value("%pydist wait") is None
        assert team.value("(f.done(), g.done())") == (True, True)

    def test_log_shows_what_workers_to_come_will_run(self, team: Team) -> None:
        pydist.everywhere_log().clear()
        assert "has run nothing" in team.run("%pydist log").stdout
        team.value("%%everywhere\nx = 1\ny = 2\n")
        assert team.run("%pydist log").stdout == "[0] x = 1\n    y = 2\n"
        team.value("%pydist log clear")
        assert not pydist.everywhere_log()

    def test_output_goes_through_the_pager_in_a_terminal_only(
        self, team: Team, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        paged: list[str] = []
        monkeypatch.setattr("IPython.core.page.page", paged.append)
        team.value(f"%fetchfrom {A} print('kept')")
        text = f" From worker {A}:\tkept\n"
        assert (team.run("%pydist output").stdout, paged) == (text, [])
        monkeypatch.setattr("io.StringIO", Terminal)
        assert (team.run("%pydist output").stdout, paged) == ("", [text])

    def test_an_unknown_topic_is_named_with_those_there_are(self, team: Team) -> None:
        assert team.mistake("%pydist nonsense").startswith("%pydist: 'nonsense' is unknown; it knows versions, config")
        assert team.mistake("%pydist").startswith("%pydist: it knows versions")


class TestErrors:
    def test_equal_failures_are_one(self, team: Team) -> None:
        text = team.run("%%everywhere --workers\nx = 1\nraise ValueError('bad')\n").stdout
        assert f"workers {A}-{C}: ValueError: bad (3x)" in text
        assert "----> 3 raise ValueError('bad')" in text
        assert "pydist_magics" not in text

    def test_what_cannot_be_sent_shows_the_cell_alone(self, team: Team) -> None:
        text = team.run(f"import threading\nlock = threading.Lock()\n%spawnat {A} lock").stdout
        assert "the global 'lock' that the function uses cannot be sent" in text
        assert "_runtime" not in text
        assert "_runtime" in team.run("%pydist traceback").stdout

    def test_debug_shows_the_names_of_each_frame(self, team: Team) -> None:
        team.value("def g(x, scale=3):\n    ys = list(range(100))\n    return ys[x * scale]\n")
        team.run(f"%fetchfrom {A} g(50)")
        assert "index 9" not in team.mistake("%fetchfrom nobody g(1)")
        text = team.run("%pydist debug").stdout
        assert f"On worker {A}" in text
        assert "----> 3     return ys[x * scale]" in text
        assert re.search(r"x +=", text)
        assert "[0, 1, 2, 3, 4, … 100 items]" in text
        assert f"process {B} has no part" in team.mistake(f"%pydist debug {B}")

    def test_debug_has_the_names_of_each_worker_apart(self, team: Team) -> None:
        team.run("%%everywhere --workers\nme = pydist.myid()\nraise ValueError('bad')\n")
        for pid in (A, C):
            assert re.search(rf"me += {pid}\n", team.run(f"%pydist debug {pid}").stdout)

    def test_debug_after_an_error_of_this_process_says_so(self, team: Team) -> None:
        team.run("1 / 0")
        assert "was raised in this process: %debug shows it" in team.mistake("%pydist debug")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("%rmprocs", "it needs the workers to end"),
        ("%rmprocs 1", "process 1 cannot be ended"),
        ("%restart", "it needs the workers to restart"),
        ("%restart 1", "process 1 cannot be restarted"),
        ("%spawnat", "it needs a process and code"),
        ("%spawnat 2", "stands alone"),
        ("%%spawnat\n1", "it needs a process"),
        ("%spawn", "it needs code"),
        ("%fetchfrom", "it needs a process and code"),
        ("%fetch", "it needs the name of a Future or code"),
        ("%fetch nope", "name 'nope' is not defined"),
        ("%everywhere", "it needs code"),
        ("%%everywhere --workers 2\n1", "exclude each other"),
        ("%%everywhere any\n1", "any is one process"),
        ("%%everywhere --timeout soon\n1", "--timeout takes seconds, not 'soon'"),
        ("%%everywhere --nonsense\n1", "there is no option --nonsense; it has --workers, --timeout, --help"),
        ("%pmap", "it needs something to do"),
        ("%%pmap\n1", "it needs a loop"),
        ("%%pmap x in\n1", "is not a loop"),
        ("%pmap f", "has no items to go over"),
        ("%pmap x for x in 3", "'3' is not iterable"),
        ("%pmap x for x in [1] --retry many", "--retry takes a whole number"),
        ("%distributed", "it needs a loop"),
        ("%distributed (+) i for i in range(0)", "R is empty"),
        ("%remotecall", "it needs a function and a process"),
        ("%remotecall 3 2", "'3' is not a function"),
        ("%remotecall abs", "it needs a function and a process"),
        ("%remotecall abs nowhere", "'nowhere' does not name a process"),
        ("%futures now", "it takes nothing"),
        ("%dashboard now", "it takes nothing"),
        ("%addprocs -3", "-3 is not a number of workers"),
        ("%addprocs 2 --env X", "--env takes NAME=VALUE"),
        ("%pydist wait soon", "wait takes seconds, not 'soon'"),
        ("%pydist debug nobody", "debug takes the id of a process"),
        ("%pydist debug 99", "no process with id 99 exists"),
        ("%pydist versions 2", "versions takes nothing"),
        ("%pydist output x", "output takes the number of a call"),
        ("%pydist log all", "log takes nothing or clear"),
    ],
)
def test_a_slip_is_told_in_one_sentence(team: Team, line: str, sentence: str) -> None:
    team.run("1 / 0")  # so that there is an error to debug
    told = team.mistake(line)
    assert sentence in told
    assert told.startswith(line.partition("\n")[0].split()[0] + ": ")


def test_every_magic_has_help_and_does_nothing_else(team: Team) -> None:
    session = team.shell._pydist_session  # type: ignore[attr-defined]
    for kind, name in sorted(session._bound):
        marks, body = ("%", "") if kind == "line" else ("%%", "\n1/0")
        outcome = team.run(f"{marks}{name} --help{body}")
        assert outcome.error is None, (kind, name)
        assert "Examples:" in outcome.stdout, (kind, name)
