-- Lmod module of an installation made with `make install PREFIX=...` (no root): copy this file to
-- MODULEPATH/shelfcast/0.1.lua and set the folder.
local prefix = "/cluster/software/shelfcast/0.1"
whatis("Shelfcast: trains, judges and serves a retail demand model")
load("openmpi")
load("hdf5")
prepend_path("PATH", pathJoin(prefix, "bin"))
