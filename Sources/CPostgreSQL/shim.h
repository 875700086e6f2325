#include <libpq-fe.h>

/* libpq names the fields of an error by character constants, which Swift cannot import. */

static inline const char *pg_result_sqlstate(const PGresult *result) {
    return PQresultErrorField(result, PG_DIAG_SQLSTATE);
}

static inline const char *pg_result_primary_message(const PGresult *result) {
    return PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
}
