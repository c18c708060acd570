"""Options that commands share."""

from __future__ import annotations

import click

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document.")
yes = click.option("--yes", is_flag=True, help="Approve as the user who runs this.")
wait = click.option("--wait", is_flag=True, help="Follow the job to its end.")
follow = click.option("--follow", is_flag=True, help="Follow the job to its end.")
limit = click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="The newest N."
)
reason = click.option("--reason", default="", help="Why; recorded.")
