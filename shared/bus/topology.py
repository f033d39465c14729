"""Who listens to what: the one table from which both buses, the documents and the manifests are made."""

from shared.bus.protocol import Subscription
from shared.events import EventName as E

EXCHANGE = "pipeline"

GENERATOR = (
    Subscription("generator", E.JOB_CREATED),
    Subscription("generator", E.VIDEO_REQUESTED, prefetch=20),
    Subscription("generator", E.VIDEO_CALLBACK, prefetch=16),
)
STITCHER = (
    # One film at a time: ffmpeg uses every core it may.
    Subscription("stitcher", E.VIDEO_READY, prefetch=1),
)
UPLOADER = (
    Subscription("uploader", E.JOB_CREATED),
    Subscription("uploader", E.VIDEO_READY),
    Subscription("uploader", E.VIDEO_FAILED),
    Subscription("uploader", E.JOB_STITCHING),
    Subscription("uploader", E.JOB_STITCHED, prefetch=4),
    Subscription("uploader", E.JOB_UPLOADING),
    Subscription("uploader", E.JOB_COMPLETED),
    Subscription("uploader", E.JOB_FAILED),
    Subscription("uploader", E.JOB_CANCELLED),
    Subscription("uploader", E.JOB_REVIEW),
    Subscription("uploader", E.WEBHOOK_DUE, prefetch=32),
)

SUBSCRIPTIONS: tuple[Subscription, ...] = (*GENERATOR, *STITCHER, *UPLOADER)
