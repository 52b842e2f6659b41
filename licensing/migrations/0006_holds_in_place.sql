-- Each attempt and each renewal moves a hold's lease. Without an index of it, and with room for another version beside
-- it, such a change touches no index at all. Open holds are few, and whoever expires them reads them all.
DROP INDEX licensing.hold_open_by_lease;
ALTER TABLE licensing.hold SET (fillfactor = 50);
