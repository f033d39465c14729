"""What this machine must offer: ffmpeg, and a folder with room in it."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from shared.film import FfmpegMissing, ffmpeg_exe
from shared.settings import Settings
from sora_stitcher.doctor.findings import Finding, ok, problem, warning

ENCODERS = ("libx264", "aac")
FILTERS = ("xfade", "loudnorm", "scale")
ROOM_BYTES = 2_000_000_000


async def ffmpeg(_settings: Settings) -> list[Finding]:
    """Ask ffmpeg which one it is and whether it can do what films need."""
    try:
        path = ffmpeg_exe()
    except FfmpegMissing as error:
        return [problem("FFmpeg: not found", error.message)]
    version = (await _output(path, "-version")).partition("\n")[0]
    words = version.split()
    if words[:2] != ["ffmpeg", "version"]:
        return [problem(f"FFmpeg: {path} does not run", "install ffmpeg anew, or `pip install imageio-ffmpeg`")]
    encoders = await _output(path, "-hide_banner", "-encoders")
    filters = await _output(path, "-hide_banner", "-filters")
    missing = [f"encoder {name}" for name in ENCODERS if f" {name} " not in encoders]
    missing += [f"filter {name}" for name in FILTERS if f" {name} " not in filters]
    what = f"FFmpeg: {words[2]} at {path}"
    if missing:
        return [problem(f"{what} lacks {', '.join(missing)}", "install a build with x264 (Debian's ffmpeg has all)")]
    return [ok(what)]


async def _output(*command: str) -> str:
    """Return what a command prints; "" if it cannot be run."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return ""
    try:
        printed, _ = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    return printed.decode(errors="replace") if process.returncode == 0 else ""


async def data_folder(settings: Settings) -> list[Finding]:
    """Try whether the data folder takes files, and how much room there is. Leaves nothing behind."""
    return await asyncio.to_thread(_data_folder, settings.data_dir)


def _data_folder(folder: Path) -> list[Finding]:
    place = nearest_existing(folder)
    state = "is writable" if place == folder else "can be made"
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".doctor-"):
            free = shutil.disk_usage(place).free
    except OSError as error:
        advice = f"make it writable for this user, or set DATA_DIR to a folder that is ({error.strerror})"
        return [problem(f"Data folder: cannot write to {place}", advice)]
    what = f"Data folder: {folder} {state}, {free / 1e9:.1f} GB free"
    if free < ROOM_BYTES:
        return [warning(what, "free some space: a job keeps its clips and its film until JOB_TTL is over")]
    return [ok(what)]


def nearest_existing(path: Path) -> Path:
    """Return the path itself, or the nearest of its parents that exists."""
    resolved = path.resolve()
    if resolved.exists():
        return path
    return next(parent for parent in resolved.parents if parent.exists())
