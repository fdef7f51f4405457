(* Two active atoms in slots a < b: the least loss of a sample over its two codes is
     ||x||^2 - [w_a^2 A^2 - 2 w_a w_b g A B + w_a w_b B^2] / (w_a - w_b g^2),
   with A = <d_a, x>, B = <d_b, x>, g = <d_a, d_b>. *)
From Coq Require Import Reals Lra Lia List.
From OSAE Require Import Sums Losses Rays IdentitySparse Instances.
Open Scope R_scope.

Definition saved_by_two (wa wb A B g : R) : R :=
  (wa * wa * (A * A) - 2 * wa * wb * (g * (A * B)) + wa * wb * (B * B)) / (wa - wb * (g * g)).

Lemma completed_square wa wb A B g y z : 0 < wb -> 0 < wa - wb * (g * g) ->
  - saved_by_two wa wb A B g
  <= wa * (y * y) + wb * (z * z) + 2 * wb * g * (y * z) - 2 * wa * A * y - 2 * wb * B * z.
Proof.
  intros Hb Hd. unfold saved_by_two. set (D := wa - wb * (g * g)) in *.
  assert (E : wa * (y * y) + wb * (z * z) + 2 * wb * g * (y * z) - 2 * wa * A * y - 2 * wb * B * z
    + (wa * wa * (A * A) - 2 * wa * wb * (g * (A * B)) + wa * wb * (B * B)) / D
    = wb * ((z + g * y - B) * (z + g * y - B))
    + D * ((y - (wa * A - wb * g * B) / D) * (y - (wa * A - wb * g * B) / D)))
    by (unfold D in *; field; lra).
  pose proof (Rmult_le_pos _ _ (Rlt_le _ _ Hb) (Rle_0_sqr (z + g * y - B))).
  pose proof (Rmult_le_pos _ _ (Rlt_le _ _ Hd) (Rle_0_sqr (y - (wa * A - wb * g * B) / D))).
  unfold Rsqr in *. lra.
Qed.

Lemma two_active_bound d K p D x y a b :
  sum K p = 1 -> unit_norm d K D -> (a < b < K)%nat ->
  (forall j, (j < K)%nat -> j <> a -> j <> b -> y j = 0) ->
  let g := dot d (col D a) (col D b) in
  0 < survival K p b -> 0 < survival K p a - survival K p b * (g * g) ->
  norm2 d x - saved_by_two (survival K p a) (survival K p b) (dot d (col D a) x) (dot d (col D b)
    x) g
  <= sample_loss d K p D x y.
Proof.
  intros P U H Z g Hb Hd.
  rewrite (sample_loss_in_sparse_form d K p D x y (fun u => match u with O => a | _ => b end) 2);
    auto.
  - unfold sparse_form, weight. simpl.
    replace (norm2 d (active_residual D x y _ 0)) with (norm2 d x)
      by (apply norm2_ext; intros; unfold active_residual; simpl; ring).
    replace (norm2 d (active_residual D x y _ 1)) with (norm2 d (fun i => x i - y a * col D a i))
      by (apply norm2_ext; intros; unfold active_residual, col; simpl; ring).
    replace (norm2 d (active_residual D x y _ 2))
      with (norm2 d (fun i => (x i - y a * col D a i) - y b * col D b i))
      by (apply norm2_ext; intros; unfold active_residual, col; simpl; ring).
    rewrite (norm2_step d (fun i => x i - y a * col D a i)), norm2_step.
    rewrite (U a), (U b) by lia.
    replace (dot d (col D b) (fun i => x i - y a * col D a i)) with (dot d (col D b) x - y a * g).
    + pose proof (completed_square (survival K p a) (survival K p b) (dot d (col D a) x)
        (dot d (col D b) x) g (y a) (y b) Hb Hd). lra.
    + unfold g, dot. rewrite <- sum_scal, <- sum_minus. apply sum_ext; intros; ring.
  - split; intros; [destruct u, v|destruct u]; try lia.
  - intros j Hj N. apply Z; auto; [apply (N 0%nat)|apply (N 1%nat)]; lia.
Qed.

(* A 2-sparse code lives on two slots. *)
Lemma two_slots K y : (2 <= K)%nat -> sparse K 2 y ->
  exists a b, (a < b < K)%nat /\ forall j, (j < K)%nat -> j <> a -> j <> b -> y j = 0.
Proof.
  intros HK [s [L H]]. destruct (last_active K y) as [Z|[b [Hb [Nb Lb]]]].
  { exists 0%nat, 1%nat. split; [lia|auto]. }
  destruct (last_active b y) as [Z|[a [Ha [Na La]]]].
  - destruct b as [|b].
    + exists 0%nat, 1%nat. split; [lia|]. intros j Hj N0 N1. apply Lb; lia.
    + exists 0%nat, (S b). split; [lia|]. intros j Hj N0 N1.
      destruct (lt_dec j (S b)); [apply Z|apply Lb]; lia.
  - exists a, b. split; [lia|]. intros j Hj N0 N1. destruct (Req_EM_T (y j) 0) as [|Nj]; auto.
    exfalso. enough (length (j :: a :: b :: nil) <= length s)%nat by (simpl in *; lia).
    apply NoDup_incl_length.
    + repeat constructor; simpl; intuition lia.
    + intros k [<-|[<-|[<-|[]]]]; apply H; auto; lia.
Qed.
