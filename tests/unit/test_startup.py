"""Tests of the messages about settings that have no effect."""

from __future__ import annotations

import logging
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from app.startup import configure, misspelled, unused


def make_settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "name,nearest",
    [
        ("MAX_FILESIZE", "MAX_FILE_SIZE"),
        ("max_file_sizes", "MAX_FILE_SIZE"),
        ("CORS_ORIGIN", "CORS_ORIGINS"),
        ("THUMBNAILS_SIZES", "THUMBNAIL_SIZES"),
        ("SECRETKEY", "SECRET_KEY"),
        ("S3_BUCKETS", "S3_BUCKET"),
        ("LOGLEVEL", "LOG_LEVEL"),
    ],
)
def test_a_misspelled_setting_is_found_with_the_nearest_name(name: str, nearest: str):
    assert list(misspelled([name])) == [(name, nearest)]


def test_settings_and_other_variables_are_not_misspelled():
    others = ["PATH", "HOME", "HOSTNAME", "AWS_REGION", "AWS_PROFILE", "PYTHONPATH", "REPORT", "FORWARDED_ALLOW_IPS"]
    known = [name.upper() for name in Settings.model_fields] + list(Settings.model_fields)
    assert list(misspelled(others + known)) == []


def test_settings_without_effect_are_found(monkeypatch: pytest.MonkeyPatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    assert set(unused(make_settings(s3_bucket="photos", firebase_api_key="key", max_file_size=1))) == {
        "S3_BUCKET",
        "FIREBASE_API_KEY",
    }
    assert set(
        unused(
            make_settings(
                storage="s3",
                s3_bucket="photos",
                aws_access_key_id="AKIAEXAMPLE1234567890",
                aws_secret_access_key="x",
                sqs_queue_name="jobs",
            )
        )
    ) == {"SQS_QUEUE_NAME"}
    assert set(unused(make_settings(registration="open"))) == set()
    firebase = make_settings(auth="firebase", google_cloud_project="demo", registration="open")
    assert set(unused(firebase)) == {"REGISTRATION"}


def test_the_messages_name_the_setting_but_not_its_value(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    handlers = logging.getLogger().handlers[:]
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("SECRETKEY=very-secret-value\n")
    monkeypatch.setenv("S3_BUCKET", "photos")
    try:
        configure()
    finally:
        logging.getLogger().handlers[:] = handlers
    logged = capsys.readouterr()
    text = logged.out + logged.err
    assert "settings.misspelled" in text
    assert "SECRETKEY" in text
    assert "S3_BUCKET" in text
    assert "very-secret-value" not in text


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has these settings of a process")
def test_every_process_hides_its_memory_and_raises_its_limit_of_open_files():
    code = """
import ctypes, resource
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
from app.startup import configure
configure()
PR_GET_DUMPABLE = 3
print(ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", str(resource.getrlimit(resource.RLIMIT_NOFILE)[1])]
