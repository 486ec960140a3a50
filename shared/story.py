"""Ids in the examples of the API's description. They tell one story, so that they work one after the other."""

CUSTOMER_ID = "0f8c2f5e-3b7a-4c1d-9e64-2a5b7d90c001"
PRODUCT_ID = "0f8c2f5e-3b7a-4c1d-9e64-2a5b7d90c002"
ORDER_ID = "0f8c2f5e-3b7a-4c1d-9e64-2a5b7d90c003"
ADDRESS_ID = "0f8c2f5e-3b7a-4c1d-9e64-2a5b7d90c004"
