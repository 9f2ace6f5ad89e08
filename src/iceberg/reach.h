/*
 * reach.h: all files that belong to one version of a table, for those who copy or clean.
 */
#ifndef ICEBERG_REACH_H
#define ICEBERG_REACH_H

#include "iceberg/catalog.h"

struct ice_reached {
    struct arena arena;
    const char **locations; /* each once */
    size_t count, small;    /* the first `small` of them are no data */
    size_t room;
};

/*
 * The metadata file, the manifest lists and manifests of all its snapshots, oldest first, and the
 * files of statistics; then the data files that are live in any of them. Earlier metadata files
 * (the metadata log) and the hint are not among them. KOL_NOT_FOUND where a file has gone: somebody
 * expired its snapshot meanwhile, or the table is damaged. KOL_UNSUPPORTED as in ice_scan(). To be
 * freed after a failure, too.
 */
enum kol_status ice_reach(struct catalog *catalog, const struct ice_metadata *metadata,
                          struct ice_reached *out, struct kol_error *err) KOL_CHECKED;
void ice_reached_free(struct ice_reached *reached);

#endif
