"""Makes tests/data/kuairand_made: invented rows in the form of KuaiRand-Pure's files.

Every oddity of the official files is there on purpose: exact duplicate rows, integers written as
floats, missing values, ranges with commas, multi-valued tags, unclicked likes, equal times.
"""

import csv
import random
from datetime import datetime, timedelta, timezone
from pathlib import Path

OUT = Path(__file__).parent / "kuairand_made"
LOG = [
    "user_id",
    "video_id",
    "date",
    "hourmin",
    "time_ms",
    "is_click",
    "is_like",
    "is_follow",
    "is_comment",
    "is_forward",
    "is_hate",
    "long_view",
    "play_time_ms",
    "duration_ms",
    "profile_stay_time",
    "comment_stay_time",
    "is_profile_enter",
    "is_rand",
    "tab",
]
USER = [
    "user_id",
    "user_active_degree",
    "is_lowactive_period",
    "is_live_streamer",
    "is_video_author",
    "follow_user_num",
    "follow_user_num_range",
    "fans_user_num",
    "fans_user_num_range",
    "friend_user_num",
    "friend_user_num_range",
    "register_days",
    "register_days_range",
] + [f"onehot_feat{i}" for i in range(18)]
VIDEO = [
    "video_id",
    "author_id",
    "video_type",
    "upload_dt",
    "upload_type",
    "visible_status",
    "video_duration",
    "server_width",
    "server_height",
    "music_id",
    "music_type",
    "tag",
]
USERS, VIDEOS, ROWS, DUPLICATES = 40, 30, 600, 9
SHANGHAI = timezone(timedelta(hours=8))


def log_row(rng, day, rand):
    at = datetime(2022, 4, 25, tzinfo=SHANGHAI) + timedelta(days=day, seconds=rng.randrange(86_400))
    click = int(rng.random() < 0.45)
    like = int(rng.random() < (0.12 if click else 0.02))
    return [
        min(int(rng.expovariate(0.1)), USERS - 1), min(int(rng.expovariate(0.15)), VIDEOS - 1),
        int(at.strftime("%Y%m%d")), at.hour * 100, int(at.timestamp()) * 1000, click, like,
        0, 0, 0, 0, click, 9000 * click + 500, 15_000, 0, 0, 0, rand,
        rng.choice([0, 1, 1, 1, 4, 14]),
    ]  # fmt: skip


def main():
    rng = random.Random(20220425)
    OUT.mkdir(exist_ok=True)
    rows = [log_row(rng, i * 12 // ROWS, 0) for i in range(ROWS)]
    rows[11][4] = rows[10][4]  # two exposures at one time
    rows += [list(rng.choice(rows)) for _ in range(DUPLICATES)]
    write("log_standard_4_25_to_5_06_pure.csv", LOG, rows)
    write(
        "log_random_4_25_to_5_06_pure.csv", LOG, [log_row(rng, i * 12 // 90, 1) for i in range(90)]
    )
    users = []
    for user in range(USERS):
        degree = rng.choice(["full_active", "high_active", "UNKNOWN"])
        row = [
            user,
            degree,
            0,
            rng.choice([0, 1, -124]),
            user % 2,
            10 * user,
            rng.choice(["500+", "(250,500]", "0"]),
            user,
            "[10,100)",
            3,
            "[1,5)",
            400,
            "366-730",
        ]
        hot = [rng.randrange(5) for _ in range(18)]
        for i in (4, *range(12, 18)):
            hot[i] = "" if user % 7 == 3 else float(hot[i])
        users.append(row + hot)
    write("user_features_pure.csv", USER, users)
    videos = []
    for video in range(VIDEOS):
        tag = rng.choice(["39", "12,65", "1,2,3,4,5", "20,43", ""])
        duration = "" if video % 9 == 4 else float(rng.randrange(5000, 90_000))
        videos.append(
            [
                video,
                100 + video % 11,
                "NORMAL" if video % 8 else "AD",
                "2022-04-10",
                rng.choice(["LongImport", "Web"]),
                0.0,
                duration,
                720.0,
                1280.0,
                91 + video,
                "" if video % 10 == 2 else 9.0,
                tag,
            ]
        )
    write("video_features_basic_pure.csv", VIDEO, videos)


def write(name, header, rows):
    with (OUT / name).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
