"use strict";
SwaggerUIBundle({
  url: "%ROOT%/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  tryItOutEnabled: true,
  validatorUrl: null, // or it would send the address of this server to another
});
