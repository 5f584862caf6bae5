"""The client of clas_system: what runs where the images are. It needs neither paddle nor PaddleHub."""
