"""Bodies of kie.ai as its documentation and observers show them."""

import json
from typing import Any

TASK_ID = "e989621f54392584b05867f87b160672"
CALLBACK_URL = "https://your-domain.com/api/callback"


def body(**members: Any) -> bytes:
    return json.dumps(members).encode()


def envelope(data: object, code: int = 200, msg: str = "success") -> bytes:
    return body(code=code, msg=msg, data=data)


ORDER = {"callBackUrl": CALLBACK_URL, "model": "sora-2-text-to-video", "input": {"prompt": "A professor..."}}

CREATED = envelope({"taskId": "task_sora-2-text-to-video_1765183463848"})

SUCCESS_CALLBACK = envelope(
    {
        "taskId": TASK_ID,
        "model": "sora-2-text-to-video",
        "state": "success",
        "param": json.dumps(ORDER),
        "resultJson": json.dumps(
            {
                "resultUrls": ["https://example.com/generated.mp4"],
                "resultWaterMarkUrls": ["https://example.com/generated-watermark.mp4"],
            }
        ),
        "failCode": None,
        "failMsg": None,
        "costTime": 8,
        "createTime": 1755599634000,
        "completeTime": 1755599644000,
    },
    msg="Playground task completed successfully.",
)

FAILURE_CALLBACK = envelope(
    {
        "taskId": "bd3a37c523149e4adf45a3ddb5faf1a8",
        "model": "sora-2-text-to-video",
        "state": "fail",
        "param": json.dumps(ORDER),
        "resultJson": None,
        "failCode": "500",
        "failMsg": "Internal server error",
        "costTime": 0,
        "createTime": 1755596341000,
        "completeTime": 1755597081000,
    },
    code=501,
    msg="Playground task failed.",
)

WAN_CALLBACK = envelope(
    {
        "taskId": "bd8f4b1a52048d0f17a38b49591abfa1",
        "model": "wan/3-0-video-prime",
        "state": "success",
        "param": json.dumps(
            {
                "input": json.dumps({"duration": 5, "prompt": "Under the moonlight..."}),
                "callBackUrl": CALLBACK_URL,
                "model": "wan/3-0-video-prime",
            }
        ),
        "resultJson": json.dumps({"resultUrls": ["https://tempfile.aiquickdraw.com/wan30/1787567408129.mp4"]}),
        "costTime": 89,
        "completeTime": 1787567409000,
        "createTime": 1787567320000,
        "updateTime": 1787567409000,
        "creditsConsumed": 61,
    },
    msg="Playground task completed successfully.",
)

RECORD = envelope(
    {
        "taskId": "task_12345678",
        "model": "sora-2-text-to-video",
        "state": "success",
        "param": json.dumps(ORDER),
        "resultJson": '{"resultUrls":["https://file.aiquickdraw.com/custom-page/1759432328669pkhobl0t.mp4"]}',
        "failCode": "",
        "failMsg": "",
        "costTime": 15000,
        "completeTime": 1698765432000,
        "createTime": 1698765400000,
        "updateTime": 1698765432000,
        "progress": 100,
    }
)

SIGNED_CALLBACK = body(
    taskId="ee9c2715375b7837f8bb51d641ff5863",
    code=200,
    msg="Success",
    data={"task_id": "ee9c2715375b7837f8bb51d641ff5863", "callbackType": "task_completed"},
)

VEO_CALLBACK = body(
    code=200,
    msg="Veo3.1 video generated successfully.",
    data={"taskId": "veo_task_abcdef123456", "info": {"resultUrls": ["http://example.com/video1.mp4"]}},
)


def record(task_id: str = TASK_ID, **members: Any) -> bytes:
    """recordInfo's answer about a task with these members."""
    return envelope({"taskId": task_id, "model": "sora-2-text-to-video", "param": json.dumps(ORDER), **members})
