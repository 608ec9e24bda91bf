# wde/abi.h: a digest of the headers that plug-ins are built against. Run as
#   cmake -DROOT=… -DHEADERS=a.h,b.h -DOUTPUT=… [-DMACRO=NAME] -P abi.cmake
# Writes only what has changed, so that nothing is compiled again for nothing.
if(NOT MACRO)
  set(MACRO WDE_HEADERS_DIGEST)
endif()
string(REPLACE "," ";" HEADERS "${HEADERS}")
set(digests "")
foreach(header ${HEADERS})
  file(SHA256 ${ROOT}/${header} digest)
  string(APPEND digests "${header} ${digest}\n")
endforeach()
string(SHA256 digest "${digests}")
string(SUBSTRING ${digest} 0 12 digest)
file(WRITE ${OUTPUT}.new "// Made by the build: which headers these are.\n#pragma once\n\n#define ${MACRO} \"${digest}\"\n")
file(COPY_FILE ${OUTPUT}.new ${OUTPUT} ONLY_IF_DIFFERENT)
file(REMOVE ${OUTPUT}.new)
