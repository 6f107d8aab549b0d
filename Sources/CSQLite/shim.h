// SQLite's C interface, and its variadic calls as plain functions: Swift cannot call variadic C.
#pragma once
#include <sqlite3.h>

/// Switches triggers on or off for one connection, and only for it. Returns an SQLite result code.
static inline int syncnode_sqlite_enable_triggers(sqlite3 *db, int enabled) {
    return sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, enabled, (int *)0);
}
