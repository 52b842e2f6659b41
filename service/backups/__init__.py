"""Backups: the database, the objects and the keys of one moment, which another machine can be made of.

A folder of backups holds, all of it encrypted in the format of `age`:

    2026-11-30T020000Z/manifest.age    what this backup holds, signed by the place: hashes, counts, versions
    2026-11-30T020000Z/database.age    the database as one snapshot saw it (pg_dump's custom format)
    2026-11-30T020000Z/objects.age     the objects of that moment, a line of JSON each
    2026-11-30T020000Z/secrets.age     the signing keys and the pepper
    objects/4f/4f0c….sty_1.age         contents, each once for all backups and each owner

The folder of backup keys (`OWNHAND_BACKUP_KEYS`) is no backup and is never copied into one: it holds the identities
that decrypt, `place.txt` for what is the place's and one for each style, and `switches.jsonl`, every change of a switch
since the first. A style that is destroyed loses its identity there, so what all backups hold of it is noise from then
on. Keep the folder on another disk than both the service and its backups.
"""
