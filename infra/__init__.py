"""How oldphoto reaches machines: receivers of bucket notifications, a fleet on one machine, images, manifests."""
