"""Firmware Update without IO: every row of the states, and what is refused where."""

from __future__ import annotations

import pytest

from lwm2m.client.standard_objects.firmware_machine import (
    TABLE,
    Action,
    Happening,
    PackageInfo,
    Progress,
    Result,
    Stage,
    State,
    booted,
    follow,
)
from lwm2m.errors import BadRequest, MethodNotAllowed

H = Happening
INFO = PackageInfo("lamp", "2.0", "abc")
URI = "coap://h/fw"


def at(stage: Stage, result: Result = Result.INITIAL, **more: object) -> Progress:
    package = INFO if stage not in (Stage.IDLE, Stage.RECEIVING, Stage.FETCHING) else None
    return Progress(stage, result, changed_at=1, package=package, **more)  # type: ignore[arg-type]


ROWS = [
    # from, event, its result, to, result shown
    (Stage.IDLE, H.PACKAGE_WRITTEN, None, State.DOWNLOADING, Result.INITIAL),
    (Stage.IDLE, H.URI_WRITTEN, None, State.DOWNLOADING, Result.INITIAL),
    (Stage.IDLE, H.RESET, None, State.IDLE, Result.INITIAL),
    (Stage.RECEIVING, H.PACKAGE_FIT, None, State.DOWNLOADED, Result.INITIAL),
    (Stage.FETCHING, H.PACKAGE_FIT, None, State.DOWNLOADED, Result.INITIAL),
    *[
        (stage, H.DOWNLOAD_FAILED, result, State.IDLE, result)
        for stage in (Stage.RECEIVING, Stage.FETCHING)
        for result in (
            Result.NO_STORAGE,
            Result.NO_MEMORY,
            Result.CONNECTION_LOST,
            Result.INTEGRITY,
            Result.UNSUPPORTED_PACKAGE,
            Result.INVALID_URI,
            Result.UNSUPPORTED_PROTOCOL,
        )
    ],
    (Stage.RECEIVING, H.RESET, None, State.IDLE, Result.INITIAL),
    (Stage.FETCHING, H.RESET, None, State.IDLE, Result.INITIAL),
    (Stage.DOWNLOADED, H.RESET, None, State.IDLE, Result.INITIAL),
    (Stage.DOWNLOADED, H.UPDATE, None, State.UPDATING, Result.INITIAL),
    (Stage.REBOOTING, H.BOOTED_NEW, None, State.IDLE, Result.SUCCESS),
    (Stage.ON_TRIAL, H.CONFIRMED, None, State.IDLE, Result.SUCCESS),
    (Stage.INSTALLING, H.INSTALL_FAILED, None, State.DOWNLOADED, Result.FAILED),
    (Stage.REBOOTING, H.BOOTED_BEFORE, None, State.DOWNLOADED, Result.FAILED),
    (Stage.ROLLING_BACK, H.BOOTED_BEFORE, None, State.DOWNLOADED, Result.FAILED),
    (Stage.INSTALLING, H.PACKAGE_SPOILT, None, State.IDLE, Result.INTEGRITY),
    (Stage.RECEIVING, H.CANCEL, None, State.IDLE, Result.CANCELLED),
    (Stage.FETCHING, H.CANCEL, None, State.IDLE, Result.CANCELLED),
    (Stage.DOWNLOADED, H.CANCEL, None, State.IDLE, Result.CANCELLED),
    (Stage.DOWNLOADED, H.DEFER, None, State.DOWNLOADED, Result.DEFERRED),
    (Stage.DOWNLOADED, H.DEFERRAL_OVER, None, State.UPDATING, Result.INITIAL),
]


@pytest.mark.parametrize(("stage", "happening", "given", "state", "shown"), ROWS)
def test_a_row_of_the_specification(
    stage: Stage, happening: Happening, given: Result | None, state: State, shown: Result
) -> None:
    after, _ = follow(at(stage, Result.DEFERRED), happening, 50.0, result=given, uri=URI, package=INFO)
    assert (after.stage.state, after.result) == (state, shown)
    assert after.changed_at == (1 if state is stage.state else 50)


UPDATING = [Stage.INSTALLING, Stage.REBOOTING, Stage.ON_TRIAL, Stage.ROLLING_BACK]
REFUSED = [
    *[(stage, H.UPDATE, MethodNotAllowed) for stage in Stage if stage is not Stage.DOWNLOADED],
    *[(stage, H.CANCEL, MethodNotAllowed) for stage in [Stage.IDLE, *UPDATING]],
    *[(stage, write, MethodNotAllowed) for stage in UPDATING for write in (H.PACKAGE_WRITTEN, H.URI_WRITTEN, H.RESET)],
    *[
        (stage, write, BadRequest)
        for stage in (Stage.RECEIVING, Stage.FETCHING, Stage.DOWNLOADED)
        for write in (H.PACKAGE_WRITTEN, H.URI_WRITTEN)
    ],
]


@pytest.mark.parametrize(("stage", "happening", "refusal"), REFUSED)
def test_an_order_is_refused(stage: Stage, happening: Happening, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        follow(at(stage), happening, 50.0)


def test_every_order_has_an_answer_at_every_stage() -> None:
    orders = (H.PACKAGE_WRITTEN, H.URI_WRITTEN, H.RESET, H.UPDATE, H.CANCEL)
    refused = {(stage, happening) for stage, happening, _ in REFUSED}
    assert {(stage, order) for stage in Stage for order in orders if order not in TABLE[stage]} == refused


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("happening", [H.PACKAGE_FIT, H.DOWNLOAD_FAILED, H.REGISTERED, H.NOT_CONFIRMED, H.CONFIRMED])
def test_news_that_come_too_late_change_nothing(stage: Stage, happening: Happening) -> None:
    if happening not in TABLE[stage]:
        assert follow(at(stage), happening, 50.0, result=Result.INTEGRITY, package=INFO) == (at(stage), ())


BOOTS = [
    # where the power went, what runs then, where the update goes on
    (Stage.IDLE, H.BOOTED_BEFORE, Stage.IDLE, Result.INITIAL, ()),
    (Stage.RECEIVING, H.BOOTED_BEFORE, Stage.IDLE, Result.CONNECTION_LOST, (Action.DISCARD,)),
    (Stage.FETCHING, H.BOOTED_BEFORE, Stage.FETCHING, Result.INITIAL, (Action.FETCH,)),
    (Stage.DOWNLOADED, H.BOOTED_BEFORE, Stage.DOWNLOADED, Result.INITIAL, (Action.AWAIT_DEFERRAL,)),
    (Stage.INSTALLING, H.BOOTED_BEFORE, Stage.DOWNLOADED, Result.FAILED, ()),
    (Stage.INSTALLING, H.BOOTED_ON_TRIAL, Stage.ON_TRIAL, Result.INITIAL, (Action.AWAIT_REGISTRATION,)),
    (Stage.REBOOTING, H.BOOTED_BEFORE, Stage.DOWNLOADED, Result.FAILED, ()),
    (Stage.REBOOTING, H.BOOTED_ON_TRIAL, Stage.ON_TRIAL, Result.INITIAL, (Action.AWAIT_REGISTRATION,)),
    (Stage.ON_TRIAL, H.BOOTED_BEFORE, Stage.DOWNLOADED, Result.FAILED, ()),
    (Stage.ON_TRIAL, H.BOOTED_ON_TRIAL, Stage.ROLLING_BACK, Result.INITIAL, (Action.ROLL_BACK,)),
    (Stage.ON_TRIAL, H.BOOTED_NEW, Stage.IDLE, Result.SUCCESS, (Action.DISCARD,)),
    (Stage.ROLLING_BACK, H.BOOTED_BEFORE, Stage.DOWNLOADED, Result.FAILED, ()),
    (Stage.ROLLING_BACK, H.BOOTED_ON_TRIAL, Stage.ROLLING_BACK, Result.INITIAL, (Action.ROLL_BACK,)),
]


@pytest.mark.parametrize(("stage", "happening", "to", "shown", "actions"), BOOTS)
def test_a_power_cut(stage: Stage, happening: Happening, to: Stage, shown: Result, actions: tuple[Action, ...]) -> None:
    after, todo = follow(at(stage), happening, 50.0)
    assert (after.stage, after.result, todo) == (to, shown, actions)


def test_what_runs_is_told_by_its_image() -> None:
    assert booted("abc", False, at(Stage.REBOOTING)) is H.BOOTED_ON_TRIAL
    assert booted("abc", True, at(Stage.REBOOTING)) is H.BOOTED_NEW
    assert booted("old", True, at(Stage.REBOOTING)) is H.BOOTED_BEFORE
    assert booted("old", True, at(Stage.IDLE)) is H.BOOTED_BEFORE


def test_a_deferral_outlives_a_power_cut_and_a_clock_that_went_back() -> None:
    deferred, _ = follow(at(Stage.DOWNLOADED, maximum_defer_period=600), H.DEFER, 1000.0)
    after, _ = follow(deferred, H.BOOTED_BEFORE, 1100.0)
    assert after.result is Result.DEFERRED
    assert after.deferral_left(1100.0) == 500
    assert after.deferral_left(9999.0) == 0
    assert after.deferral_left(10.0) == 600
    assert at(Stage.DOWNLOADED).deferral_left(10.0) is None


def test_the_uri_and_the_package_go_with_a_reset() -> None:
    fetching, _ = follow(Progress(), H.URI_WRITTEN, 1.0, uri=URI)
    assert fetching.uri == URI
    fit, _ = follow(fetching, H.PACKAGE_FIT, 2.0, package=INFO)
    assert fit.package == INFO
    reset, todo = follow(fit, H.RESET, 3.0)
    assert (reset.uri, reset.package) == ("", None)
    assert todo == (Action.ABANDON, Action.DISCARD)


def test_severity_and_period_are_kept_through_an_update() -> None:
    progress = at(Stage.REBOOTING, severity=2, maximum_defer_period=60)
    after, _ = follow(progress, H.BOOTED_NEW, 5.0)
    assert (after.severity, after.maximum_defer_period) == (2, 60)
