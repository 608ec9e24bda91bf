/* Files as they lie here and in third_party/swagger-ui, for pages.cc: longer than a string literal may be. */
  .section .rodata
  .balign 16
  .global wde_swagger_ui_js, wde_swagger_ui_js_end, wde_swagger_ui_css, wde_swagger_ui_css_end
  .global wde_openapi, wde_openapi_end
wde_openapi:
  .incbin "openapi.json"
wde_openapi_end:
wde_swagger_ui_js:
  .incbin "swagger-ui-bundle.js.gz"
wde_swagger_ui_js_end:
wde_swagger_ui_css:
  .incbin "swagger-ui.css.gz"
wde_swagger_ui_css_end:
  .section .note.GNU-stack,"",%progbits
