/* Swagger UI's files as they lie in third_party/swagger-ui, for pages.cc. */
  .section .rodata
  .balign 16
  .global wde_swagger_ui_js, wde_swagger_ui_js_end, wde_swagger_ui_css, wde_swagger_ui_css_end
wde_swagger_ui_js:
  .incbin "swagger-ui-bundle.js.gz"
wde_swagger_ui_js_end:
wde_swagger_ui_css:
  .incbin "swagger-ui.css.gz"
wde_swagger_ui_css_end:
  .section .note.GNU-stack,"",%progbits
