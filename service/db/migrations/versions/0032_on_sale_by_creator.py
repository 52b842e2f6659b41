"""Whether somebody is a creator with something on sale, whom everybody may see, is found without reading each version.

Every page that names accounts asks it of each of them, by the accounts' row security.
"""

revision = "0032"
down_revision = "0031"
ADDITIVE = True
INDEXES = {"versions_on_sale_of_creator": "service.versions (creator_id) WHERE published_at IS NOT NULL"}


def upgrade() -> None:
    """Nothing but the index, which is built beside whoever writes."""


def downgrade() -> None:
    """The index may stay: the code before does not ask for it, and is no slower for it."""
